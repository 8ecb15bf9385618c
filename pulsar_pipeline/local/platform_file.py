"""The platform file of the local clusters: all that the rest of the product knows of them."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from pulsar_pipeline.local.layout import Layout
from pulsar_pipeline.local.ports import Ports

_HEADER = "# Written by `pulsar-pipeline local up`; paths are relative to this file.\n"


def render(layout: Layout, ports: Mapping[str, Ports]) -> str:
    """YAML in the shape of `spec.model.Platform`."""
    clusters = {
        name: {
            "admin_url": own.admin_url,
            "broker_url": own.broker_url,
            "auth": {"token_file": str(layout.admin_token.relative_to(layout.root))},
            "tokens": {"secret_key_file": str(layout.token_key.relative_to(layout.root))},
        }
        for name, own in ports.items()
    }
    return _HEADER + str(yaml.safe_dump({"clusters": clusters}, sort_keys=False))


def write(layout: Layout, ports: Mapping[str, Ports]) -> None:
    """Replace the file at once; a reader never sees half of it."""
    text = render(layout, ports)
    if layout.platform.exists() and layout.platform.read_text() == text:
        return
    aside = layout.platform.with_suffix(".new")
    aside.write_text(text)
    aside.replace(layout.platform)
