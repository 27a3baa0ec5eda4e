"""An audit's report as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from ringex.audit.directory import AssetReport, AuditReport
from ringex.decimals import format_scaled

FINDINGS_SHOWN_MAX = 200


def lines_of(report: AuditReport) -> Iterator[str]:
    yield f"sequence: {report.sequence}"
    if report.from_sequence > 1:
        yield f"from: {report.from_sequence}"
    yield f"events: {report.events}"
    yield f"trades: {report.trades}"
    yield f"bookings: {report.bookings}"
    yield f"balances: {report.balances}"
    yield f"snapshot: {report.snapshot_sequence or 'none compared'}"
    for asset in report.assets:
        yield f"{asset.name}: {_amounts(asset)}"
    for remark in report.remarks:
        yield f"remark: {remark}"
    for finding in report.findings[:FINDINGS_SHOWN_MAX]:
        yield f"difference: {finding}"
    if len(report.findings) > FINDINGS_SHOWN_MAX:
        yield f"difference: and {len(report.findings) - FINDINGS_SHOWN_MAX} more"
    yield "sound" if report.is_sound else "NOT SOUND"


def _amounts(asset: AssetReport) -> str:
    names = ("deposited", "withdrawn", "traded", "fees", "owned", "locked", "held")
    return ", ".join(f"{name} {format_scaled(getattr(asset, name), asset.scale)}" for name in names)
