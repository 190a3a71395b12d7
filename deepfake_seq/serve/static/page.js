// The page of `deepseq serve`: sends clips, follows their progress, and shows the verdicts.
// Text from the server or from file names is only ever set as text, never as HTML.

const STEPS = ["upload", "queued", "decode", "detect", "cnn", "explain", "done"];
const STATUS = {
  upload: "Sending the file…",
  decode: "Reading frames…",
  detect: "Looking for faces…",
  cnn: "Analysing the faces…",
  explain: "Looking for the frames and the parts of the face that decided…",
};
const RETRY_MS = 3000;
const CLIPS = "clips";
const TOKEN = "token";

const byId = (id) => document.getElementById(id);
const rows = new Set();
const uploads = [];
let about = null;
let isSending = false;

class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: authorization() });
  const body = response.status === 204 ? {} : await response.json();
  if (!response.ok) throw new ServerError(response.status, body.error);
  return body;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const decimals = (value, digits = 2) => value.toFixed(digits);
const time = (seconds) => `${decimals(seconds, 1)} s`;
const nameOf = (run) => run.split("/").pop();
const inQueue = (before) =>
  before ? `${before} ${before === 1 ? "clip" : "clips"} before this one.` : "Next.";
const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

// What a contribution to the log-odds does to the odds.
function factor(logOdds) {
  const value = Math.exp(Math.min(Math.max(logOdds, -50), 50));
  return `× ${value < 0.01 || value >= 100 ? value.toExponential(1) : decimals(value)}`;
}

// A calibrated score never means certainty.
function inWords(score) {
  if (score < 0.01) return "below 0.01";
  return score > 0.99 ? "above 0.99" : decimals(score);
}

function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function fill(element, tag, text) {
  const child = element.appendChild(document.createElement(tag));
  child.textContent = text;
  return child;
}

// ---- one clip -------------------------------------------------------------------------------

class Row {
  constructor(name, file = null, id = null) {
    this.name = name;
    this.file = file;
    this.id = id;
    this.isRemoved = false;
    this.element = byId("clip-template").content.cloneNode(true).firstElementChild;
    const heading = this.find(".name");
    heading.textContent = name;
    heading.id = `clip-${++Row.count}`;
    this.find("article").setAttribute("aria-labelledby", heading.id);
    const remove = this.find(".remove");
    remove.setAttribute("aria-label", `Remove ${name}`);
    remove.addEventListener("click", () => this.remove());
    this.find(".save-result").addEventListener("click", () => this.saveResult());
    this.find(".save-report").addEventListener("click", () => this.saveReport());
    this.show(id ? "queued" : "upload", id ? "" : "Waiting to be sent.");
    byId("clips").prepend(this.element);
    byId("clips-title").hidden = false;
    rows.add(this);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  show(step, text = STATUS[step] ?? "") {
    const now = STEPS.indexOf(step);
    for (const item of this.find(".steps").children) {
      const position = STEPS.indexOf(item.dataset.step);
      item.classList.toggle("past", position < now || step === "done");
      if (position === now) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    this.find("progress").hidden = step !== "upload";
    this.find(".status").textContent = text;
  }

  fail(message) {
    this.find(".steps").hidden = true;
    this.find("progress").hidden = true;
    this.find(".status").textContent = `Not classified: ${message}.`;
    announce(`${this.name} could not be classified`);
  }

  // Send the file; XMLHttpRequest, because fetch does not report the progress of an upload.
  send(run) {
    const query = new URLSearchParams({ name: this.name, run });
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", `/v1/clips?${query}`);
      for (const [name, value] of Object.entries(authorization())) {
        request.setRequestHeader(name, value);
      }
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => {
        this.find("progress").value = event.loaded / event.total;
      });
      request.addEventListener("load", () => {
        if (request.status === 202) resolve(request.response);
        else reject(new ServerError(request.status, request.response?.error ?? "no answer"));
      });
      request.addEventListener("error", () => reject(new ServerError(0, "the server is gone")));
      request.addEventListener("abort", () => reject(new ServerError(0, "removed")));
      request.send(this.file);
    });
  }

  async upload(run) {
    this.show("upload");
    while (!this.isRemoved) {
      try {
        const job = await this.send(run);
        this.id = job.id;
        remember();
        this.follow();
        return;
      } catch (error) {
        if (this.isRemoved) return;
        if (error.status !== 429) {
          this.fail(error.message);
          return;
        }
        this.show("upload", "The server is busy; waiting…");
        await pause(RETRY_MS);
      }
    }
  }

  async follow() {
    while (!this.isRemoved) {
      try {
        const job = await call(`/v1/clips/${this.id}`);
        if (job.state === "done") return this.finish(job, await reportOf(job));
        if (job.state === "failed") return this.fail(job.error);
        if (job.state === "running") this.show(job.stage);
        else this.show("queued", inQueue(job.position));
        if (job.result) this.showVerdict(job);
      } catch (error) {
        if (error.status === 404) return this.fail("its result was deleted");
        if (error.status === 401) return this.fail("the token is not valid");
        this.find(".status").textContent = "The server does not answer; trying again…";
      }
      await pause(300 + 50 * rows.size);
    }
  }

  showVerdict(job) {
    if (this.job) return;
    const { result } = job;
    this.job = job;
    const outcome = this.find(".outcome");
    outcome.classList.add(result.verdict);
    this.find(".word").textContent = job.headline;
    this.find(".score").textContent = result.score === null ? "" : `score ${inWords(result.score)}`;
    for (const sentence of job.explanation) fill(this.find(".words"), "p", sentence);
    const hasScale = result.score !== null || result.cause === "abstention";
    this.find(".scale").hidden = this.find(".ends").hidden = !hasScale;
    showScale(this.find(".scale"), result);
    const video = this.file && result.file.codec ? this.find("video") : null;
    if (video) this.play(video);
    else if (!this.file) this.find(".no-player").textContent = "The server does not keep clips, so this one cannot be played.";
    this.lanes = showTimeline(this.find(".timeline"), result, video);
    outcome.hidden = false;
    announce(`${this.name}: ${job.headline}`);
  }

  finish(job, report) {
    this.showVerdict(job);
    this.job = job;
    this.show("done");
    this.find(".steps").hidden = true;
    showFacts(this.find(".facts"), job, report);
    this.find("details.about").hidden = false;
    this.find(".save-result").hidden = false;
    if (!report) return;
    this.find(".save-report").hidden = false;
    const { result } = job;
    report.explanation.people.forEach((person, number) => {
      showFrames(this.lanes[number], person, result, this.url ? this.find("video") : null);
      showParts(this.find(".parts"), person, number, report);
    });
    const mostSuspicious = [...this.find(".parts").children].sort((a, b) => b.logOdds - a.logOdds)[0];
    if (mostSuspicious) mostSuspicious.open = result.verdict !== "real";
  }

  play(video) {
    this.url = URL.createObjectURL(this.file);
    video.addEventListener("error", () => {
      this.find(".player").hidden = true;
      this.find(".no-player").textContent = "This browser cannot play the format of this clip.";
    });
    video.addEventListener("timeupdate", () => movePlayheads(this.find(".timeline"), video));
    video.src = this.url;
    this.find(".player").hidden = false;
  }

  saveResult() {
    const text = JSON.stringify(this.job, null, 2);
    save(new Blob([text], { type: "application/json" }), `${this.name}.json`);
  }

  // A link cannot send the token, so the report is fetched.
  async saveReport() {
    try {
      const response = await fetch(this.job.report, { headers: authorization() });
      if (!response.ok) throw new ServerError(response.status, (await response.json()).error);
      save(await response.blob(), `${this.name}.html`);
    } catch (error) {
      this.find(".status").textContent = `The report cannot be downloaded: ${error.message}.`;
    }
  }

  remove() {
    this.isRemoved = true;
    this.request?.abort();
    if (this.url) URL.revokeObjectURL(this.url);
    if (this.id) call(`/v1/clips/${this.id}`, { method: "DELETE" }).catch(() => {});
    rows.delete(this);
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    byId("clips-title").hidden = !rows.size;
    (next?.querySelector(".remove") ?? byId("files")).focus();
    remember();
    announce(`${this.name} was removed`);
  }
}
Row.count = 0;

// ---- parts of a result ----------------------------------------------------------------------

function showScale(scale, { score, threshold, decision }) {
  const [low, high] = decision.band;
  const percent = (value) => `${100 * value}%`;
  const band = scale.querySelector(".band");
  band.hidden = low === high;
  band.style.left = percent(low);
  band.style.width = percent(high - low);
  scale.querySelector(".threshold").style.left = percent(threshold);
  const tick = scale.querySelector(".tick");
  tick.hidden = score === null;
  tick.style.left = percent(score ?? 0);
  const parts = [score === null ? "No score" : `Score ${inWords(score)} on a scale from 0 to 1`];
  parts.push(`fake from ${decimals(threshold)}`);
  if (low < high) parts.push(`no verdict from ${decimals(low)} to ${decimals(high)}`);
  scale.setAttribute("aria-label", parts.join("; "));
}

// The report with its pictures; null if there is none.
async function reportOf(job) {
  if (!job.report) return null;
  try {
    return await call(`${job.report}.json`);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function showFacts(list, { result, run, size_bytes: size, finished }, report) {
  const { file } = result;
  const facts = {
    Duration: file.duration_seconds && time(file.duration_seconds),
    Picture: file.width && `${file.width} × ${file.height} pixels`,
    Frames: file.frames_total && `${file.frames_total}, ${file.fps} per second`,
    Examined: `${result.frames_used} of ${result.frames_sampled} sampled frames`,
    Codec: file.codec,
    "File size": size < 1e6 ? `${Math.ceil(size / 1e3)} kB` : `${decimals(size / 1e6)} MB`,
    "SHA-256": file.sha256,
    Reason: result.reason,
    Threshold: decimals(result.threshold, 3),
    Model: run,
    Finished: new Date(1000 * finished).toLocaleString(),
    "Not examined": report?.not_examined.join(" "),
  };
  for (const [name, value] of Object.entries(facts)) {
    if (!value) continue;
    fill(list, "dt", name);
    fill(list, "dd", value);
  }
}

const outcomeOf = ({ verdict, score }) =>
  capitalized(verdict) + (score === null ? "" : `, score ${inWords(score)}`);

// Add a lane for the parts of the clip, if any, and return one for each person. A click on a lane
// moves the player.
function showTimeline(timeline, result, video) {
  const length = durationOf(result);
  if (result.windows.length) {
    const lane = addLane(timeline, "Parts of the clip", `${result.windows.length} parts`);
    for (const part of result.windows) addSpan(lane, part, length, video, "Part");
    fill(timeline, "p", "The people in the most suspicious part:").className = "hint";
  }
  return result.people.map((person, number) => {
    const lane = addLane(timeline, `Person ${number + 1}`, outcomeOf(person));
    lane.classList.add(person.verdict);
    addSpan(lane, person, length, video, `Person ${number + 1}`);
    if (result.people.length > 1) explain(lane, person);
    return lane;
  });
}

function durationOf({ file, people, windows }) {
  const ends = [...people, ...windows].map((shown) => shown.end_seconds);
  return Math.max(file.duration_seconds ?? 0, ...ends) || 1;
}

function addLane(timeline, title, state) {
  const lane = byId("lane-template").content.cloneNode(true).firstElementChild;
  lane.setAttribute("aria-label", title);
  lane.querySelector(".title").textContent = title;
  lane.querySelector(".state").textContent = state;
  timeline.append(lane);
  return lane;
}

function addSpan(lane, shown, length, video, what) {
  const track = lane.querySelector(".track");
  track.dataset.length = length;
  const [start, end] = [shown.start_seconds, shown.end_seconds];
  const span = document.createElement("button");
  span.type = "button";
  span.className = shown.verdict;
  span.style.left = `${(100 * start) / length}%`;
  span.style.width = `${(100 * (end - start)) / length}%`;
  span.textContent = `${decimals(start, 1)}–${time(end)}`;
  span.title = `${outcomeOf(shown)}, ${span.textContent}`;
  span.setAttribute("aria-label", `${what}: ${span.title}. Go to ${time(start)}`);
  track.append(span);
  if (!video) {
    span.disabled = true;
    return;
  }
  span.addEventListener("click", (event) => {
    if (event.detail > 0) return; // by pointer: the click on the track moves the player
    video.currentTime = start;
    event.stopPropagation();
  });
  goToOnClick(track, length, video);
}

function goToOnClick(track, length, video) {
  track.onclick = (event) => {
    const box = track.getBoundingClientRect();
    video.currentTime = (length * (event.clientX - box.left)) / box.width;
  };
}

// Add the face of a person, and a bar for each frame: its own score, or by how much it raises
// (upwards) or lowers the odds of fake.
function showFrames(lane, { face, frames, frame_summary: summary }, result, video) {
  const picture = lane.querySelector(".face");
  picture.hidden = !face;
  if (face) picture.src = face;
  if (!summary) return;
  const bars = lane.querySelector(".frames");
  const length = durationOf(result);
  const largest = Math.max(...frames.map((frame) => Math.abs(frame.log_odds)), 0.05);
  for (const { pts_seconds: seconds, log_odds: logOdds, score } of frames) {
    const hasScore = score !== null;
    const isFake = hasScore ? score >= result.threshold : logOdds > 0;
    const height = hasScore ? 100 * score : (50 * Math.abs(logOdds)) / largest;
    const bar = bars.appendChild(document.createElement("span"));
    bar.className = isFake ? "fake" : "real";
    bar.style.left = `${(100 * seconds) / length}%`;
    bar.style.height = `${Math.max(height, 2)}%`;
    bar.style.bottom = hasScore ? 0 : `${isFake ? 50 : 50 - height}%`;
    bar.title = `${time(seconds)}: ${hasScore ? `score ${decimals(score)}` : `odds ${factor(logOdds)}`}`;
  }
  bars.hidden = false;
  if (video) goToOnClick(bars, length, video);
  lane.querySelector(".frame-summary").hidden = false;
  lane.querySelector(".frame-summary").textContent = summary;
}

// Add what the parts of a person's face contribute, if it is known, with the maps.
function showParts(parts, person, number, report) {
  const regions = Object.entries(person.regions).sort((one, other) => other[1] - one[1]);
  const blocks = Object.entries(person.blocks);
  if (!regions.length && !blocks.length) return;
  const details = byId("parts-template").content.cloneNode(true).firstElementChild;
  const names = report.explanation.region_names;
  details.logOdds = person.log_odds;
  details.querySelector("summary").textContent = `Person ${number + 1}: parts of the face`;
  details.querySelector(".region-summary").textContent = person.region_summary;
  const longest = Math.max(...regions.map(([, value]) => Math.abs(value)), 0.05);
  for (const [name, value] of regions) {
    const row = details.querySelector(".regions tbody").insertRow();
    fill(row, "th", names[name]).scope = "row";
    fill(row, "td", factor(value));
    const bar = fill(row, "td", "").appendChild(document.createElement("span"));
    bar.className = `bar ${value > 0 ? "fake" : "real"}`;
    bar.style.width = `${(100 * Math.abs(value)) / longest}%`;
  }
  for (const [block, values] of blocks) {
    const head = details.querySelector(".blocks thead tr");
    fill(head, "th", capitalized(report.explanation.block_names[block])).scope = "col";
    const body = details.querySelector(".blocks tbody");
    Object.entries(values).forEach(([region, value], at) => {
      const row = body.rows[at] ?? body.insertRow();
      if (!row.cells.length) fill(row, "th", names[region]).scope = "row";
      fill(row, "td", factor(value));
    });
  }
  for (const map of person.maps) {
    const shown = byId("map-template").content.cloneNode(true).firstElementChild;
    shown.querySelector(".caption").textContent = map.caption;
    for (const kind of ["crop", "coloured", "residual"]) {
      shown.querySelector(`.${kind}`).src = map[kind];
    }
    details.querySelector(".maps").append(shown);
  }
  hideUnless(regions.length, details, ".region-summary", ".regions", ".regions + .hint", ".limit");
  hideUnless(blocks.length, details, ".blocks", ".blocks-note");
  parts.append(details);
}

function hideUnless(condition, element, ...selectors) {
  for (const selector of selectors) element.querySelector(selector).hidden = !condition;
}

function explain(lane, { cause, reason }) {
  const why = lane.querySelector(".why");
  why.hidden = !cause;
  why.textContent = cause ? `${about.causes[cause] ?? ""} (${reason})` : "";
}

function movePlayheads(timeline, video) {
  for (const head of timeline.querySelectorAll(".playhead")) {
    const { length } = head.parentElement.dataset;
    head.style.left = `${Math.min((100 * video.currentTime) / length, 100)}%`;
  }
}

// ---- the page -------------------------------------------------------------------------------

function announce(text) {
  byId("announcement").textContent = text;
}

function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

function remember() {
  const kept = [...rows].filter((row) => row.id).map(({ id, name }) => ({ id, name }));
  sessionStorage.setItem(CLIPS, JSON.stringify(kept));
}

function add(files) {
  const run = byId("run").value;
  const { bytes } = about.limits;
  for (const file of files) {
    const row = new Row(file.name, file);
    if (file.size > bytes) row.fail(`it is larger than ${bytes / 1e6} MB`);
    else if (!file.size) row.fail("the file is empty");
    else uploads.push([row, run]);
  }
  sendAll();
}

async function sendAll() {
  if (isSending) return;
  isSending = true;
  while (uploads.length) {
    const [row, run] = uploads.shift();
    if (!row.isRemoved) await row.upload(run);
  }
  isSending = false;
}

function describeRun() {
  const run = about.runs.find((each) => each.run === byId("run").value);
  byId("run-facts").textContent = run
    ? `A ${run.title} of ${run.created.slice(0, 10)}, validated on ${run.clips.real} real and ${run.clips.fake} fake clips of ${run.data}`
    : "";
}

function showPage() {
  const { runs, limits } = about;
  byId("no-run").hidden = runs.length > 0;
  byId("send").hidden = !runs.length;
  byId("limits").textContent =
    `At most ${limits.bytes / 1e6} MB and ${Math.round(limits.seconds / 6) / 10} minutes each. ` +
    `Results are deleted after ${limits.keep_minutes} minutes.`;
  for (const { run } of runs) fill(byId("run"), "option", nameOf(run)).value = run;
  describeRun();
  for (const { id, name } of JSON.parse(sessionStorage.getItem(CLIPS) ?? "[]")) {
    new Row(name, null, id).follow();
  }
}

async function start() {
  try {
    about = await call("/v1/about");
  } catch (error) {
    if (error.status !== 401) {
      complain("The server does not answer. Start it again, then reload this page.");
      return;
    }
    if (sessionStorage.getItem(TOKEN)) complain("This token is not valid.");
    byId("access").hidden = false;
    byId("token").focus();
    return;
  }
  complain("");
  byId("access").hidden = true;
  showPage();
}

byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value);
  start().then(() => about && byId("files").focus());
});
byId("run").addEventListener("change", describeRun);
byId("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", name === "dragover");
    if (name === "drop" && about?.runs.length) add(event.dataTransfer.files);
  });
}
start();
