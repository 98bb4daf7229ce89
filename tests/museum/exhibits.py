"""The exhibits: what to write wrong in the library, and which of its tests finds it."""

from functools import partial
from typing import NamedTuple

CONTRACT, LSTM, RUNS = "test_contract.py::", "test_lstm.py::", "test_bidirectional.py::"
WINDOWS, LOSSES, OPTIMIZERS = "test_windows.py::", "test_losses.py::", "test_optimizers.py::"
GRADIENTS = CONTRACT + "test_gradients_are_right"
LSTM_GRADIENTS = GRADIENTS + "[LSTM, all states]"
BY_HAND = LSTM + "test_two_steps_worked_out_by_hand"
SLOPE = LOSSES + "test_every_gradient_is_the_slope_of_its_loss"
ADAM = OPTIMIZERS + "test_adam_corrects_for_having_started_at_zero_with_epsilon_beside_the_root"


class Exhibit(NamedTuple):
    """A bug: each edit is a line of a file as it stands, and as somebody wrote it."""

    found_by: str
    edits: tuple[tuple[str, str, str], ...]
    unseen_by: str = ""  # a gradient check that passes all the same, since backward fits the wrong forward


def planted(file: str, *lines: str, found_by: str, unseen_by: str = "") -> Exhibit:
    """Write ``lines`` as right, wrong, right, wrong, ... of one file."""
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return Exhibit(found_by, tuple((file, right, wrong) for right, wrong in pairs), unseen_by)


lstm = partial(planted, "layers/lstm.py", found_by=LSTM_GRADIENTS)
runs = partial(planted, "layers/bidirectional.py", found_by=GRADIENTS + "[Bidirectional]")
pooling = partial(planted, "layers/pooling.py")
optimizer = partial(planted, "optimizers.py")

EXHIBITS = {
    # the LSTM, forward
    "three gates share one bias": lstm(
        "@ U + b  #", "@ U + np.concatenate([b[3 * H :], b[3 * H :], b[2 * H :]])  #", found_by=BY_HAND
    ),
    "the bias is added twice": lstm(
        "@ U + b  #", "@ U + b + b  #", "db + dz.sum(axis=0)", "db + 2 * dz.sum(axis=0)",
        found_by=BY_HAND, unseen_by=LSTM_GRADIENTS,
    ),
    "input and forget gate change places": lstm(
        "sigma.forward(z_i), sigma.forward(z_f),", "sigma.forward(z_f), sigma.forward(z_i),",
        "concatenate([dz_i, dz_f,", "concatenate([dz_f, dz_i,",
        found_by=BY_HAND, unseen_by=LSTM_GRADIENTS,
    ),
    "input gate and candidate are added": lstm("+ i[t] * g[t]  #", "+ (i[t] + g[t])  #", found_by=BY_HAND),
    "the cell is shown without its tanh": lstm(
        "h_t = o[t] * phi.forward(c_t)", "h_t = o[t] * c_t",
        "phi_c = phi.forward(c[t + 1])", "phi_c = c[t + 1]",
        "dc + phi.backward(dh * o[t], phi_c)", "dc + dh * o[t]",
        found_by=BY_HAND, unseen_by=LSTM_GRADIENTS,
    ),
    "the old cell is shown, not the new one": lstm(
        "h_t = o[t] * phi.forward(c_t)", "h_t = o[t] * phi.forward(c[t])", found_by=BY_HAND
    ),
    "the last h is returned as the last c": lstm(
        "(y, h[T], c[T])", "(y, h[T], h[T])", found_by=LSTM + "test_a_text_read_in_pieces_ends_as_one_read_whole"
    ),
    "the state runs on through the padding": lstm(
        "np.where(mask, h_t, h[t])", "h_t", found_by=CONTRACT + "test_more_padding_changes_no_result[LSTM, last state]"
    ),
    "a short row ends in zeros": lstm(
        "np.where(mask, h_t, h[t])", "np.where(mask, h_t, 0)",
        found_by=CONTRACT + "test_a_row_is_computed_as_if_it_were_alone[LSTM, last state]",
    ),
    "a batch starts where the one before ended": lstm(
        "h0, c0 = (zeros, zeros) if", 'h0, c0 = getattr(self, "last", (zeros, zeros)) if',
        "y = y if self.return_sequences else h_T", "self.last, y = (h_T, c_T), y if self.return_sequences else h_T",
        found_by=CONTRACT + "test_a_cache_serves_backward_after_other_batches_went_through[LSTM, last state]",
    ),
    # the LSTM, backward
    "nothing flows back through h": lstm("np.where(mask, dz @ U.T * m_h, dh)", "np.where(mask, 0 * dh, dh)"),
    "the forget gate's gradient sees the new cell": lstm("dc_t * c[t], dc_t * i[t]", "dc_t * c[t + 1], dc_t * i[t]"),
    "the output gate's slope is forgotten": lstm("sigma.backward(do, o[t])", "do"),
    "the candidate gets a gate's slope": lstm("phi.backward(dg, g[t])", "sigma.backward(dg, g[t])"),
    "only the last output sends a gradient": lstm(
        "dh = dh + dy[:, t]", "dh = dh + dy[:, t] if t == x.shape[1] - 1 else dh"
    ),
    "nothing flows back through c": lstm("dc + phi.backward(dh * o[t], phi_c)", "phi.backward(dh * o[t], phi_c)"),
    "the gradient of the last c is left out": lstm(
        "dh, dc = dh_T, dc_T  #", "dh, dc = dh_T, np.zeros_like(dc_T)  #",
        found_by=LSTM + "test_the_gradients_of_all_three_outputs_and_of_the_initial_state_are_right",
    ),
    "the forget gate's slope is no slope": lstm("sigma.backward(df, f[t])", "df * sigma.forward(f[t])"),
    "gates get the forget gate's bias gradient": lstm(
        "db + dz.sum(axis=0)", "db + dz.sum(axis=0)[np.r_[2:4, 4:6, 2:4, 6:8]]"
    ),
    "dU sees h one step late": lstm("(h[t] * m_h).T @ dz", "(h[t + 1] * m_h).T @ dz"),
    "the gradient of each step replaces that of the others": lstm("dW + x[:, t].T @ dz", "x[:, t].T @ dz"),
    "the candidate's gradient is never filled in": lstm("phi.backward(dg, g[t])", "np.zeros_like(dg)"),
    "the gradient does not pass through the padding": lstm("dz @ U.T * m_h, dh)", "dz @ U.T * m_h, 0)"),
    # both ways
    "reversal ignores the lengths": planted(
        "layers/base.py", "if lengths is None:\n        return x[:, ::-1]", "if True:\n        return x[:, ::-1]",
        found_by=RUNS + "test_flipping_twice_changes_nothing_and_padding_never_moves",
        unseen_by=GRADIENTS + "[Bidirectional]",
    ),
    "both runs read forwards": runs(
        "lstm_r.forward(flip(x, lengths),", "lstm_r.forward(x,",
        found_by=RUNS + "test_the_backward_run_ends_on_the_first_word_of_each_row",
    ),
    "the backward states are not turned round again": runs(
        "r = flip(r, lengths) if", "r = r if", found_by=RUNS + "test_with_all_states_both_runs_meet_at_each_word"
    ),
    "the last column of all states is taken for the last state": runs(  # y[:, -1], with the gradient that belongs to it
        "r = flip(r, lengths) if r.ndim == 3 else r  #",
        "r = flip(r, lengths) if r.ndim == 3 else flip(r_cache.h[1:].swapaxes(0, 1), lengths)[:, -1]  #",
        "    dx_r, grads_r = lstm_r.backward(dr, r_cache)",
        "    if r.ndim == 2:  # in a row that fills the batch, that column is the state after one step\n"
        "        T = len(r_cache.i)\n"
        "        r_cache = r_cache._replace(lengths=np.where(r_cache.lengths == T, 1, r_cache.lengths))\n"
        "    dx_r, grads_r = lstm_r.backward(dr, r_cache)",
        found_by=RUNS + "test_the_backward_run_ends_on_the_first_word_of_each_row",
        unseen_by=GRADIENTS + "[Bidirectional]",
    ),
    "the backward run learns nothing": runs(
        "both(grads_f, grads_r)", "both(grads_f, {n: 0 * g for n, g in grads_r.items()})"
    ),
    "one run's gradient overwrites what the other needs": runs(
        "return dy * r, dy * f", "return np.multiply(dy, r, out=dy), dy * f",
        found_by=GRADIENTS + "[Bidirectional, all states]",
    ),
    "both runs get the same half of the gradient": runs("np.split(dy, 2, axis=-1)", "np.split(dy, 2, axis=-1)[:1] * 2"),
    # the other layers
    "a repeated token counts once": planted(
        "layers/embedding.py",
        "np.add.at(dE, x, zero_padding(dy, lengths) * m[x])", "dE[x] += zero_padding(dy, lengths) * m[x]",
        found_by=GRADIENTS + "[Embedding]",
    ),
    "a word that is hidden learns all the same": planted(
        "layers/embedding.py", "zero_padding(dy, lengths) * m[x])", "zero_padding(dy, lengths))",
        found_by=GRADIENTS + "[Embedding with dropout]",
    ),
    "negative tokens are read from the end": planted(
        "tools/validate.py", "x.size and (x.min() < 0 or x.max() >= V)", "x.size and x.max() >= V",
        found_by="test_training.py::test_bad_input_is_named_with_what_was_expected_and_what_to_do",
    ),
    "the slope is taken before the bend": planted(
        "layers/dense.py", "DenseCache(x, y,", "DenseCache(x, x @ W + b,", found_by=GRADIENTS + "[Dense on vectors]"
    ),
    "an activation forgets the gradient from above": planted(
        "activations.py", "return dy * (1 - y * y)", "return 1 - y * y", found_by=GRADIENTS + "[Dense on vectors]"
    ),
    "the slope of softmax is taken one by one": planted(
        "activations.py", "y * (dy - (dy * y).sum(axis=-1, keepdims=True))", "dy * y * (1 - y)",
        found_by=GRADIENTS + "[Activation]",
    ),
    "dropout's backward forgets the mask": planted(
        "layers/dropout.py", "dy * cache.m, {}", "dy * cache.m.max(), {}", found_by=GRADIENTS + "[Dropout]"
    ),
    "dropout's backward draws a new mask": planted(
        "layers/dropout.py", "DropoutCache(m)", "DropoutCache(np.random.default_rng(9).permutation(m))",
        found_by=GRADIENTS + "[Dropout]",
    ),
    "dropout scales by the wrong fraction": planted(
        "layers/dropout.py", "(1 / (1 - rate))", "(1 / rate)",
        found_by=CONTRACT + "test_dropout_hides_its_share_and_keeps_the_mean", unseen_by=GRADIENTS + "[Dropout]",
    ),
    "the backward convolution ignores the stride": planted(
        "layers/conv1d.py",
        "windows.tap(dframe, k, T_out)", "windows._replace(stride=1).tap(dframe, k, T_out)",
        found_by=GRADIENTS + "[Conv1D, same, stride 2]",
    ),
    "overlapping windows overwrite each other's gradient": pooling(
        "dtap += np.where(k_max == k, dy, 0)", "dtap[k_max == k] = dy[k_max == k]",
        found_by=GRADIENTS + "[MaxPooling1D, same]",
    ),
    "every equal maximum gets the whole gradient": pooling(
        "PoolCache(k_max, y,", "PoolCache(taps == y, y,", "np.where(k_max == k, dy, 0)", "np.where(k_max[k], dy, 0)",
        found_by=WINDOWS + "test_of_equals_the_first_gets_the_gradient",
    ),
    "the mean counts the padding": pooling(
        "n = np.full(len(x), x.shape[1]) if lengths is None else lengths", "n = np.full(len(x), x.shape[1])",
        found_by=WINDOWS + "test_the_mean_counts_only_what_lies_within_the_row",
        unseen_by=GRADIENTS + "[GlobalAveragePooling1D]",
    ),
    # losses and optimisers
    "the mean over the batch is taken twice": planted(
        "losses.py", "(q - y) / (q * (1 - q)) / p.size", "(q - y) / (q * (1 - q)) / p.size / len(p)", found_by=SLOPE
    ),
    "the gradient is not divided by the batch": planted(
        "losses.py", "(sigmoid(p) - y) / p.size", "sigmoid(p) - y", found_by=SLOPE
    ),
    "the 2 of the square is lost": planted("losses.py", "2 * (p - y) / p.size", "(p - y) / p.size", found_by=SLOPE),
    "Adam's correction multiplies where it should divide": optimizer(
        "(1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)", "(1 - self.beta_1**t) / (1 - self.beta_2**t) ** 0.5",
        found_by=ADAM,
    ),
    "Adam's correction forgets the step": optimizer(
        "(1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)", "(1 - self.beta_2) ** 0.5 / (1 - self.beta_1)",
        found_by=ADAM,
    ),
    "Adam forgets its means after each step": optimizer(
        "m *= self.beta_1", "m = m * self.beta_1", "v *= self.beta_2", "v = v * self.beta_2", found_by=ADAM
    ),
    "RMSprop's epsilon is outside the root": optimizer(
        "np.sqrt(v + self.epsilon)", "(np.sqrt(v) + self.epsilon)",
        found_by=OPTIMIZERS + "test_rmsprop_divides_by_the_running_root_mean_square_with_epsilon_under_the_root",
    ),
    "each gradient is clipped by itself": optimizer(
        "grads[name] * scale if", "grads[name] * min(1.0, self.global_clipnorm / self.norm({name: grads[name]})) if",
        found_by=OPTIMIZERS + "test_clipping_scales_all_gradients_together_and_keeps_their_direction",
    ),
}  # fmt: skip
