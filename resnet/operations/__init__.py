"""Running the house: servers, checks of the installation, cleaning up."""
