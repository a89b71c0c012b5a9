"""Glue between Snakemake and the package: jobs, command line, logs, records, code inputs."""
