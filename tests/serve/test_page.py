"""The page as people use it, in a real browser."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brightness
import pytest
from brightness import BRIGHT, DARK, write_grey, write_two_people
from serving import RunningServer, running

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install 'deepfake-seq[browser]'"
)

pytestmark = pytest.mark.slow

TOKEN = "correct horse battery staple"
PHONE = {"width": 390, "height": 844}

_PIXEL = """picture => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 96;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, 96, 96);
  return context.getImageData(48, 48, 1, 1).data[0];
}"""
"""Red value in the middle of a picture."""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no browser: none of the programs chromium, chromium-browser, google-chrome")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses root a sandbox
    playwright.expect.set_options(timeout=30_000)
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    run = brightness.write_run(folder / "runs" / "grey")
    with running(folder, run, maps=1, upload_bytes=1_000_000) as server:
        yield server


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    notes = folder / "notes.txt"
    notes.write_text("no video")
    return {
        "real": write_grey(folder / "real.mp4", DARK),
        "fake": write_grey(folder / "fake.mp4", BRIGHT),
        "slow": write_grey(folder / "slow.mp4", DARK, "hold"),
        "two": write_two_people(folder / "two.mp4"),
        "notes": notes,
    }


@pytest.fixture
def open_page(browser: Any, server: RunningServer) -> Iterator[Open]:
    """Open the page in a new window; fail at the end if a script or the page did anything odd."""
    contexts, problems = [], []

    def open_page(address: str = server.address, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)

        def check(message: Any) -> None:
            if message.type == "error" and "status of 401" not in message.text:
                problems.append(message.text)

        page.on("console", check)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "blob:", "data:"))
                or problems.append(f"{request.url} was requested")
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def send(page: Any, *clips: Path) -> None:
    """Choose files, and wait until all clips of the page are done."""
    playwright.expect(page.locator("#send")).to_be_visible()
    before = page.locator(".clip").count()
    page.set_input_files("#files", [str(clip) for clip in clips])
    playwright.expect(page.locator(".about:visible")).to_have_count(before + len(clips))


def clip_named(page: Any, name: str) -> Any:
    return page.locator(".clip", has=page.get_by_role("heading", name=name, exact=True))


def position_of(page: Any, name: str) -> float:
    """Return the time at which the player of a clip is, in seconds."""
    video = clip_named(page, name).locator("video")
    return float(video.evaluate("video => video.currentTime"))


def ready_to_play(page: Any, name: str) -> None:
    video = clip_named(page, name).locator("video").element_handle()
    page.wait_for_function("video => video.readyState >= 2", arg=video)


def test_a_clip_is_sent_followed_and_judged(
    open_page: Open, clips: dict[str, Path], server: RunningServer
) -> None:
    page = open_page()
    playwright.expect(page.locator("#send")).to_be_visible()
    page.set_input_files("#files", str(clips["slow"]))
    row = clip_named(page, "slow.mp4")
    playwright.expect(row.locator("[aria-current=step]")).to_have_text("Frames")
    (held,) = server.spool.glob("*.clip")
    server.release(held.stem)
    playwright.expect(row.locator(".verdict")).to_have_text(
        "Real: moderate support score below 0.01"
    )
    playwright.expect(row.locator(".words p").first).to_contain_text("does not prove")
    playwright.expect(page.get_by_role("status")).to_have_text("slow.mp4: Real: moderate support")
    row.get_by_text("Facts", exact=True).click()
    playwright.expect(row.locator(".facts")).to_contain_text("128 × 96 pixels")


def test_several_clips_get_a_row_each(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["real"], clips["fake"], clips["notes"])
    verdicts = {
        "real.mp4": "Real: moderate support",
        "fake.mp4": "Fake: moderate support",
        "notes.txt": "Inconclusive",
    }
    for name, word in verdicts.items():
        playwright.expect(clip_named(page, name).locator(".word")).to_have_text(word)
    words = clip_named(page, "notes.txt").locator(".words")
    playwright.expect(words).to_contain_text("could not be read as a video")


def test_dropped_files_are_sent(open_page: Open) -> None:
    page = open_page()
    playwright.expect(page.locator("#send")).to_be_visible()
    page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["no video"], "dropped.mp4"));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    playwright.expect(clip_named(page, "dropped.mp4").locator(".word")).to_have_text("Inconclusive")


def test_each_person_has_a_lane_with_a_face(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["two"])
    lanes = page.locator(".lane")
    playwright.expect(lanes).to_have_count(2)
    states = {"Fake, score above 0.99": 200, "Real, score below 0.01": 60}
    for state, level in states.items():
        lane = page.locator(".lane", has_text=state)
        face = lane.locator("img")
        playwright.expect(face).to_be_visible()
        assert abs(face.evaluate(_PIXEL) - level) < 20
    assert page.locator(".words p").first.text_content().startswith("The model calls at least one")


def test_the_report_is_downloaded_as_one_file(
    open_page: Open, clips: dict[str, Path], tmp_path: Path
) -> None:
    page = open_page()
    send(page, clips["two"], clips["notes"])
    saved = {}
    for name in ("two.mp4", "notes.txt"):
        with page.expect_download() as download:
            clip_named(page, name).get_by_role("button", name="Download report").click()
        assert download.value.suggested_filename == f"{name}.html"
        saved[name] = tmp_path / f"{name}.html"
        download.value.save_as(saved[name])
    assert "could not be read as a video" in saved["notes.txt"].read_text()
    report = open_page(saved["two.mp4"].as_uri())
    playwright.expect(report.locator("h1")).to_have_text("two.mp4")
    playwright.expect(report.locator(".verdict strong")).to_have_text("Fake: moderate support")
    assert report.locator("img").count() > 0
    assert serious_findings(report) == []


def test_parts_of_the_face_and_maps_are_shown(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["two"])
    parts = page.locator(".parts details")
    playwright.expect(parts).to_have_count(2)
    opened = page.locator(".parts details[open]")
    playwright.expect(opened).to_have_count(1), "that of the most suspicious person"
    playwright.expect(opened.locator(".regions tbody tr")).to_have_count(6)
    playwright.expect(opened.locator(".regions")).to_contain_text("×")
    playwright.expect(opened.locator(".region-summary")).to_contain_text("region")
    pictures = opened.locator(".map img")
    playwright.expect(pictures).to_have_count(3)
    for picture in pictures.all():
        assert picture.evaluate("picture => picture.naturalWidth") > 50
    frames = page.locator(".frames span")
    playwright.expect(frames).to_have_count(2 * brightness.FRAMES)
    playwright.expect(page.locator(".frame-summary").first).to_contain_text("of 8 frames")


def test_a_click_on_a_frame_moves_the_player(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["fake"])
    ready_to_play(page, "fake.mp4")
    frames = page.locator(".frames")
    box = frames.bounding_box()
    frames.click(position={"x": 0.25 * box["width"], "y": box["height"] / 2})
    assert position_of(page, "fake.mp4") == pytest.approx(0.5, abs=0.05)


def test_windows_get_a_lane(open_page: Open, clips: dict[str, Path], tmp_path: Path) -> None:
    run = brightness.write_run(tmp_path / "run")
    with running(tmp_path, run, window_seconds=1.0) as server:
        page = open_page(server.address)
        send(page, clips["two"])
        parts = page.get_by_role("group", name="Parts of the clip").get_by_role("button")
        playwright.expect(parts).to_have_text(["0.0–1.0 s", "1.0–2.0 s"])
        ready_to_play(page, "two.mp4")
        parts.nth(1).press("Enter")
        assert position_of(page, "two.mp4") == pytest.approx(1.0, abs=0.01)


def test_a_click_on_the_timeline_moves_the_player(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["two"])
    ready_to_play(page, "two.mp4")
    track = page.locator(".track").first
    box = track.bounding_box()
    for share in (0.75, 0.25, 0.99):  # of two seconds; the last one is outside the person's span
        track.click(position={"x": share * box["width"], "y": box["height"] / 2})
        assert position_of(page, "two.mp4") == pytest.approx(2 * share, abs=0.05)
    page.wait_for_function("document.querySelector('.playhead').style.left.startsWith('9')")


def test_everything_works_by_keyboard(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    chosen = [str(clips["two"]), str(clips["real"])]
    page.on("filechooser", lambda chooser: chooser.set_files(chosen))
    playwright.expect(page.locator("#send")).to_be_visible()
    page.keyboard.press("Tab")
    playwright.expect(page.locator("#files")).to_be_focused()
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".about:visible")).to_have_count(2)
    ready_to_play(page, "two.mp4")
    focused = []
    for _ in range(60):
        page.keyboard.press("Tab")
        label = page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
        )
        focused.append(label)
        if label.startswith("Person 2"):
            page.keyboard.press("Enter")
            break
    assert position_of(page, "two.mp4") == pytest.approx(0.12, abs=0.01)
    page.get_by_role("button", name="Remove two.mp4").focus()
    for name in ("two.mp4.html", "two.mp4.json"):
        page.keyboard.press("Tab")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == name
    page.get_by_role("button", name="Remove two.mp4").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".clip")).to_have_count(1)
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove real.mp4"


def test_the_page_fits_a_phone(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page(viewport=PHONE)
    playwright.expect(page.locator("#send")).to_be_visible()
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= PHONE["width"]
    send(page, clips["two"], clips["notes"])
    page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    assert page.evaluate(width) <= PHONE["width"]
    for button in page.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, clips: dict[str, Path], scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    playwright.expect(page.locator("#send")).to_be_visible()
    assert serious_findings(page) == []
    send(page, clips["two"], clips["real"], clips["notes"])
    page.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    assert serious_findings(page) == []


def serious_findings(page: Any) -> list[str]:
    """Return what axe-core finds that is serious or critical."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        pytest.skip("no axe-core: pip install 'deepfake-seq[browser]'")
    page.evaluate(Path(package.origin).with_name("axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{finding['id']}: {finding['nodes'][0]['html']}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]


def test_results_are_still_there_after_a_reload(open_page: Open, clips: dict[str, Path]) -> None:
    page = open_page()
    send(page, clips["fake"])
    page.reload()
    row = clip_named(page, "fake.mp4")
    playwright.expect(row.locator(".word")).to_have_text("Fake: moderate support")
    playwright.expect(row.locator(".map img").first).to_be_visible()
    playwright.expect(row.locator(".no-player")).to_contain_text("does not keep clips")


def test_a_file_that_is_too_large_is_not_sent(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    playwright.expect(page.locator("#send")).to_be_visible()
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(1_000_001))
    page.set_input_files("#files", str(large))
    status = clip_named(page, "large.mp4").locator(".status")
    playwright.expect(status).to_have_text("Not classified: it is larger than 1 MB.")


def test_names_of_files_are_never_html(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    name = "<img src=x onerror=document.title='hacked'>.mp4"
    (tmp_path / name).write_text("no video")
    send(page, tmp_path / name)
    playwright.expect(page.locator(".clip h3")).to_have_text(name)
    assert page.title() == "deepseq: real or fake?" and not page.locator("img").count()


def test_without_a_run_the_page_says_how_to_get_one(open_page: Open, tmp_path: Path) -> None:
    with running(tmp_path, None, token=TOKEN) as server:
        page = open_page(server.address, viewport=PHONE)
        playwright.expect(page.get_by_label("Access token")).to_be_focused()
        assert serious_findings(page) == []
        page.keyboard.type("a wrong token here")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
        page.get_by_label("Access token").fill(TOKEN)
        page.keyboard.press("Enter")
        no_run = page.get_by_role("region", name="No model yet")
        playwright.expect(no_run).to_contain_text("deepseq fit")
        playwright.expect(page.locator("#send")).to_be_hidden()
        assert serious_findings(page) == []
