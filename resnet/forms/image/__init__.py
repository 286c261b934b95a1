"""An image: its shape, its files, its statistics, how it is drawn for training and shown."""
