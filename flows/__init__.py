"""Six Prefect flows, a file each, and how they are started, deployed, executed and watched."""
