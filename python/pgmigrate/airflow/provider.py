"""The description of this provider, for the entry point ``apache_airflow_provider``."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The description that ``airflow providers list`` shows.

    Its keys are those of Airflow's ``provider_info.schema.json``:
    https://airflow.apache.org/docs/apache-airflow-providers/howto/create-custom-providers.html
    """
    from pgmigrate import __version__

    integration = "pgmigrate"
    modules = ("checks", "parts", "planning", "whole")
    return {
        "package-name": "pgmigrate",
        "name": "pgmigrate",
        "description": "Moves a PostgreSQL database into another: planned, parallel, resumable",
        "versions": [__version__],
        "integrations": [{"integration-name": integration, "tags": ["software"]}],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [f"pgmigrate.airflow.{module}" for module in modules],
            }
        ],
        "triggers": [
            {"integration-name": integration, "python-modules": ["pgmigrate.airflow.trigger"]}
        ],
    }
