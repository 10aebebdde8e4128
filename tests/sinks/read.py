"""Prints the rows of Parquet files in their order, each as one line of JSON, by way of DuckDB."""

import json
import sys

import duckdb

duckdb.execute("set timezone = 'UTC'")
if sys.argv[1] == "--types":
    for row in duckdb.execute("describe select * from read_parquet(?)", [sys.argv[2:]]).fetchall():
        print(f"{row[0]} {row[1]}")
else:
    rows = duckdb.execute("select to_json(t) from read_parquet(?) t", [sys.argv[1:]]).fetchall()
    for (row,) in rows:
        print(row if isinstance(row, str) else json.dumps(row))
