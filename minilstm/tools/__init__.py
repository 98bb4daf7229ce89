"""What people need around the library; nothing here has to be read to learn how an LSTM works."""
