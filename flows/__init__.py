"""One Prefect flow a file, its tasks beside it. The only importer of prefect."""
