"""Write the tables of docs/speed.md from the results beside this file, between its markers.

    python benchmarks/tables.py

Each table stands between ``<!-- table NAME -->`` and ``<!-- end -->``.
The text around it is nobody's but the author's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "speed.md"


def main() -> None:
    """Rewrite every table of the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, write in TABLES.items():
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        table = write()
        text, count = pattern.subn(lambda found, table=table: found[1] + table + found[2], text)
        if count != 1:
            raise SystemExit(f"{PAGE.name} has {count} places for the table {name}: one is needed")
    PAGE.write_text(text, encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(heads: Iterable[str], rows: Iterable[Iterable[object]], source: dict[str, Any]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    machine = source["machine"]
    chip = machine.get("gpu", machine["processor"])
    return (
        "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
        + f"\n{f'`{made}`; ' if (made := source['command']) else ''}{chip}, torch {machine['torch']}.\n"
    )


def spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:g} ({ratio['least']:g} to {ratio['most']:g})"


def faster(way: dict[str, Any], clock: str) -> str:
    """How many times as fast as the loop of VTC 2.2; nothing where that was not measured beside it."""
    return spread(way["faster_than_vtc_loop"][clock]) if "faster_than_vtc_loop" in way else ""


def inference(name: str) -> Callable[[], str]:
    def write() -> str:
        source = read(name)
        results = source["results"]
        rows = [
            (
                way,
                f"{one['times_real_time_cpu']:g}",
                one["gflops_cpu"],
                f"{one['share_of_peak']:.0%}",
                faster(one, "cpu"),
                faster(one, "wall"),
                f"{one['peak_mb']:,}" if "peak_mb" in one else "",
            )
            for way, one in results["ways"].items()
        ]
        peak = results["matrix_product_peak_gflops"]
        heads = (
            f"{results['size']}, {results['threads']} thread{'s' * (results['threads'] > 1)}",
            "x real time a core",
            "GFLOP/s a core",
            "of the core's peak",
            "x VTC loop, CPU time",
            "x VTC loop, wall",
            "peak MB",
        )
        note = f"\nPeak of a core: {peak['float32']:g} GFLOP/s in float32, {peak['bfloat16']:g} in bfloat16.\n"
        return table(heads, rows, source) + note

    return write


def accuracy() -> str:
    source = read("speed-accuracy")
    rows = [
        (
            one["name"],
            one["precision"],
            f"{one['f1']:.2f}",
            f"{one['f1_change']:+.2f}",
            f"{one['score_difference']['mean']:.4f}",
            f"{one['times_real_time_a_core']:g}",
        )
        for one in source["results"]["rows"]
    ]
    heads = ("", "arithmetic", "F1", "change", "mean change of a score", "x real time a core")
    return table(heads, rows, source)


def pipeline() -> str:
    source = read("pipeline-base")
    rows = [
        (
            name,
            f"{one['ms_per_audio_s']:.3g}",
            f"{one['share_of_time']:.1%}",
            one.get("gflops", ""),
            f"{one['share_of_peak']:.0%}" if "share_of_peak" in one else "",
        )
        for name, one in source["results"]["stages"].items()
    ]
    return table(("stage", "ms for a second of audio", "of the time", "GFLOP/s", "of peak"), rows, source)


def training(*names: str, clock: str = "cpu") -> Callable[[], str]:
    def write() -> str:
        text = ""
        for name in names:
            source = read(name)
            rows = [
                (
                    way,
                    f"{one[f'times_real_time_{clock}']:,}",
                    f"{one[f'gflops_{clock}']:,}",
                    f"{one['share_of_peak']:.0%}",
                    spread(one["ours_is_faster_by"][clock]),
                )
                for way, one in source["results"]["ways"].items()
            ]
            heads = (
                f"{source['results']['size']}, {source['results']['batch']}"
                + ", compiled" * bool(source["settings"].get("compile")),
                "x real time a core" if clock == "cpu" else "x real time",
                "GFLOP/s",
                "of peak",
                "ours is faster by",
            )
            text += table(heads, rows, source) + "\n"
        return text

    return write


def gpu_stages() -> str:
    source = read("gpu-stages")
    results, settings = source["results"], source["settings"]
    parts = ("inference", "training")
    rows = [(f"{part}: {stage}", ms) for part in parts for stage, ms in results[part]["ms"].items()]
    batches = (
        f"inference: {settings['windows']} windows of 4 s; training: {settings['rows']} x {settings['seconds']} s"
    )
    return table((f"{results['size']}, {batches}", "ms"), rows, source) + f"\n{source.get('note', '')}\n"


def gpu_inference() -> str:
    source = read("gpu-inference")
    results = source["results"]
    rows = [
        (way, f"{one['times_real_time_wall']:,}", one["encoded_windows"], faster(one, "wall"))
        for way, one in results["ways"].items()
    ]
    heads = (f"{results['size']}, {results['audio_s'] / 60:.0f} minutes", "x real time", "windows", "x VTC loop")
    return table(heads, rows, source)


def growth() -> str:
    source = read("long-recording-nano")
    rows = [
        (
            f"{one['hours']:.3g} h",
            one["recordings"],
            one["cpu_s"],
            one["audio_s_per_cpu_s"],
            one["peak_mb"],
        )
        for one in source["results"]
    ]
    return table(("audio", "recordings", "CPU s", "x real time a core", "peak MB"), rows, source)


def skipping(name: str) -> Callable[[], str]:
    def write() -> str:
        source = read(name)
        first, *others = source["results"]["rows"]
        plans = [key for key in first if isinstance(first[key], dict)]
        rows = [
            (
                one["detector"],
                f"{one['times_real_time']:,}" if one["times_real_time"] else "",
                f"{one['f1'] - first['f1']:+.2f}",
                *(f"{one[plan]['windows_skipped']:.0%} ({recalls(one[plan]['recall'])})" for plan in plans),
            )
            for one in others
        ]
        heads = ("detector", "x real time", "F1", *(f"skipped, {plan} (recall by class, %)" for plan in plans))
        return table(heads, rows, source)

    return write


def recalls(by_class: dict[str, float]) -> str:
    return " ".join(f"{value:.4g}" for value in by_class.values())


TABLES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "one core": inference("inference-base-1-thread"),
    "no matrix units": inference("inference-base-avx512-1-thread"),
    "two cores": inference("inference-base-2-threads"),
    "nano": inference("inference-nano-1-thread"),
    "pipeline": pipeline,
    "training": training("training-nano-float32", "training-nano-bf16"),
    "growth": growth,
    "skipping": skipping("skipping-playroom"),
    "skipping sparse": skipping("skipping-sparse"),
    "gpu stages": gpu_stages,
    "gpu training": training("gpu-training-bf16-compiled", "gpu-training-bf16", clock="wall"),
    "gpu inference": gpu_inference,
}

if __name__ == "__main__":
    main()
