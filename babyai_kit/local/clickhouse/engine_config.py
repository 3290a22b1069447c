"""The engine's own access control: what user SQL may do, as ClickHouse configuration.

Grants, settings and their constraints. This is the first wall: the engine itself checks every statement,
however it is written. What the engine cannot forbid is left to `statement_filter` (functions and clauses that
grants do not cover) and `sandbox` (the kernel).
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

GRANTS = (
    "CHECK, SHOW, SELECT, INSERT, ALTER TABLE, ALTER VIEW, CREATE DATABASE, CREATE TABLE, CREATE VIEW, "
    "CREATE TEMPORARY TABLE, DROP TABLE, DROP VIEW, DROP DATABASE, UNDROP TABLE, "
    "TRUNCATE, OPTIMIZE, CREATE FUNCTION, DROP FUNCTION"
)
"""No SOURCES (file, url, s3, remote, ...), no dictionaries (theirs may run programs), no SYSTEM, BACKUP,
users or named collections."""

MAX_QUERY_S = 60
"""How long a query runs unless it says otherwise (SETTINGS max_execution_time), in seconds."""

MAX_SECONDS = 3600
"""How long any statement may run, in seconds. Migrations and mutations may take that long, queries must ask
for it."""

SETTINGS = {
    "max_threads": "2",
    "max_insert_threads": "1",
    "input_format_parallel_parsing": "0",
    "max_execution_time": str(MAX_SECONDS),
    "max_temporary_data_on_disk_size_for_user": str(8 << 30),
    # chDB's defaults are for one trusting user.
    "allow_introspection_functions": "0",
    "allow_python_table_function": "0",
    "storage_file_read_method": "pread",
}

FROZEN = (
    # Another grammar would get past the statement filter, which reads ClickHouse's.
    "dialect",
    "polyglot_dialect",
    "allow_experimental_kusto_dialect",
    "allow_experimental_prql_dialect",
    "allow_experimental_polyglot_dialect",
    "enable_trino_dialect",
    "enable_json_ast_dialect",
    "allow_settings_after_format_in_insert",
    "implicit_table_at_top_level",
    # SQL inside of strings.
    "additional_table_filters",
    "additional_result_filter",
    "parallel_replicas_custom_key",
    "format_schema_source",
    # Paths and addresses.
    "format_schema",
    "format_template_resultset",
    "format_template_row",
    "input_format_record_errors_file_path",
    "output_format_schema",
    "format_avro_schema_registry_url",
    "rename_files_after_processing",
    "into_outfile_create_parent_directories",
    "url_base",
    "s3_base",
    "http_allow_database_as_path",
    "http_allow_table_as_file",
    # Sources that only a setting keeps away.
    "allow_introspection_functions",
    "allow_python_table_function",
    "allow_experimental_ai_functions",
    "dynamic_disk_allow_from_env",
    "dynamic_disk_allow_include",
    "dynamic_disk_allow_from_zk",
    "s3_allow_server_credentials_in_user_queries",
    "format_display_secrets_in_show_and_select",
    "storage_file_read_method",
    "max_memory_usage_for_user",
    "max_temporary_data_on_disk_size_for_user",
    # A table on another disk is a table anywhere.
    "merge_tree_disk",
    "merge_tree_storage_policy",
    "merge_tree_table_disk",
)
"""Settings that no request may change."""


def write_config(folder: Path, *, memory_bytes: int) -> Path:
    """Write the engine's configuration into `folder` and return the path of its main file.

    `memory_bytes`: the machine's memory. One statement may use half of it, all together nine tenths.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    most = memory_bytes // 2
    settings = SETTINGS | {
        "max_memory_usage": str(most),
        "max_memory_usage_for_user": str(memory_bytes * 9 // 10),
    }
    profile = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in settings.items())
    frozen = "".join(f"<{name}><const/></{name}>" for name in FROZEN)
    # 0 would be without limit.
    bounded = (
        f"<max_memory_usage><min>1</min><max>{most}</max></max_memory_usage>"
        f"<max_execution_time><min>0.001</min><max>{MAX_SECONDS}</max></max_execution_time>"
    )
    users = (
        f"<clickhouse><profiles><default>{profile}<constraints>{frozen}{bounded}</constraints></default></profiles>"
        "<users><default><password></password><networks><ip>127.0.0.1</ip><ip>::1</ip></networks>"
        "<profile>default</profile><quota>default</quota>"
        f"<grants><query>GRANT {GRANTS} ON *.*</query></grants></default></users>"
        "<quotas><default/></quotas></clickhouse>\n"
    )
    users_file = folder / "users.xml"
    users_file.write_text(users)
    where = escape(str(users_file))
    main = folder / "config.xml"
    main.write_text(
        f"<clickhouse><users_config>{where}</users_config>"
        f"<user_directories><users_xml><path>{where}</path></users_xml></user_directories>"
        "<display_name>babyai-kit</display_name></clickhouse>\n"
    )
    return main
