"use strict";
// The reading desk. Pictures stay in this page; the program gets each for the time of a call.

const MANY_RETRIES = 20;
const LANGUAGES = ["en", "de"];  // each has a messages.LANGUAGE.json
const EXTENT = "extent";  // among the methods: where lungs are affected, whatever the class
const state = { token: "", messages: {}, model: null, readings: [], shown: null, map: 0 };
const $ = (id) => document.getElementById(id);

function text(key, values = {}) {
  let message = state.messages[key] ?? key;
  for (const [name, value] of Object.entries(values)) message = message.replace(`{${name}}`, value);
  return message;
}
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A call of the interface; tried again where the desk is busy.
async function call(path, body, onBusy) {
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${state.token}` },
      body,
    });
    if (response.ok) return response;
    const error = new Error((await response.json().catch(() => ({}))).error ?? response.statusText);
    error.code = response.status;
    if (response.status !== 429 || attempt === MANY_RETRIES) throw error;
    if (onBusy) onBusy();
    await pause(1000);
  }
}

function say(key, values) {
  $("status").textContent = text(key, values);
}

async function enter(token) {
  state.token = token;
  try {
    state.model = (await (await call("/v1/models")).json()).models[0];
  } catch (error) {
    if (error.code !== 401) throw error;
    $("sign-in").hidden = false;
    if (token) say("wrongToken");
    $("token").focus();
    return;
  }
  sessionStorage.setItem("token", token);
  $("sign-in").hidden = true;
  $("desk").hidden = false;
  $("status").textContent = "";
  showCard();
  for (const name of state.model.explanations) $("method").append(element("option", name));
  if (state.model.measures_extent) $("method").append(element("option", text("extent"), { value: EXTENT }));
  $("order-by").hidden = !state.model.measures_extent;
  for (const id of ["explained", "label"]) {
    for (const name of state.model.classes) $(id).append(element("option", name));
  }
  $("correct").hidden = !state.model.takes_corrections;
  $("house").hidden = !state.model.takes_corrections;  // there is a hospital's folder, for both
}

function showCard() {
  const { model } = state;
  const rows = [
    ["architecture", model.architecture],
    ["classes", model.classes.join(", ")],
    ["inputSize", text("squares", { size: model.input_size }).replace("{size}", model.input_size)],
  ];
  if (model.run) rows.push(["run", text("runText", { run: model.run, round: model.round, sites: model.training_sites })]);
  rows.push(["calibration", model.calibration
    ? text("calibrationText", {
      temperature: model.calibration.temperature.toFixed(2),
      images: model.calibration.validation_images,
      known: model.calibration.known_pictures,
    })
    : text("uncalibrated")]);
  rows.push(["digest", model.digest]);
  for (const [key, value] of rows) $("card-list").append(element("dt", text(key)), element("dd", value));
  $("card-limits").textContent = model.limits;
  $("list-head").append(element("th", text("file"), { scope: "col" }), element("th", text("answer"), { scope: "col" }));
  for (const name of model.classes) $("list-head").append(element("th", name, { scope: "col" }));
  if (model.measures_extent) $("list-head").append(element("th", text("extent"), { scope: "col" }));
}

const probability = (reading) => reading.prediction.probabilities[state.model.classes[0]];
// What the worklist is ordered by: the first class's probability, which is what is looked for, or how
// much of the lungs is affected: first where none was found, which may be for that.
const urgency = (reading) => ($("order").value === "extent"
  ? reading.extent?.geographic_extent ?? Infinity : probability(reading));

async function read(files) {
  const failures = [];
  let last = null;
  for (const file of files) {
    say("working", { name: file.name });
    try {
      const busy = () => say("busy", { name: file.name });
      const prediction = await (await call("/v1/predict", file, busy)).json();
      const shown = await call("/v1/show", file, busy);
      const extent = state.model.measures_extent ? await (await call("/v1/extent", file, busy)).json() : null;
      state.readings.push({
        extent,
        name: file.name,
        file,
        prediction,
        width: shown.headers.get("X-Picture-Width"),
        height: shown.headers.get("X-Picture-Height"),
        picture: await createImageBitmap(await shown.blob()),
      });
      last = state.readings[state.readings.length - 1];
      showList();
    } catch (error) {
      failures.push(text("failed", { name: file.name, error: error.message }));
    }
  }
  $("files").value = "";
  say("done", { count: files.length - failures.length });
  for (const failure of failures) $("status").append(element("br"), failure);
  if (last) await open(last);
}

const score = (extent) => (extent.geographic_extent === null ? text("unknown")
  : text("ofEight", { score: extent.geographic_extent.toFixed(1) }));

function showList() {
  const rows = [...state.readings].sort((a, b) => urgency(b) - urgency(a)).map((reading) => {
    const row = element("tr", undefined, { "aria-current": reading === state.shown });
    const button = element("button", reading.name, { type: "button" });
    button.addEventListener("click", () => open(reading));
    const first = element("td");
    first.append(button);
    row.append(first, element("td", reading.prediction.abstains ? text("unknown") : reading.prediction.prediction));
    for (const name of state.model.classes) row.append(element("td", percent(reading.prediction.probabilities[name])));
    if (reading.extent) row.append(element("td", score(reading.extent)));
    return row;
  });
  $("list-rows").replaceChildren(...rows);
  $("list").hidden = rows.length === 0;
}

async function open(reading) {
  state.shown = reading;
  showList();
  $("reading").hidden = false;
  $("reading-title").textContent = text("reading", reading);
  showPrediction(reading.prediction);
  showExtent(reading.extent);
  showCourse(reading);
  resetView();
  $("explained").value = reading.prediction.prediction;
  $("label").value = reading.prediction.prediction;
  $("corrected").textContent = "";
  await Promise.all([showMap(), showSimilar(reading)]);
}

function showPrediction(prediction) {
  const { calibration } = state.model;
  $("verdict").textContent = prediction.abstains ? text("abstains") : text("says", { class: prediction.prediction });
  $("verdict").classList.toggle("abstains", Boolean(prediction.abstains));
  $("classes").replaceChildren(...state.model.classes.map((name) => {
    const threshold = calibration?.thresholds[name];
    const called = prediction.called?.includes(name);
    const row = element("tr");
    row.append(
      element("th", name, { scope: "row" }),
      element("td", percent(prediction.probabilities[name])),
      element("td", prediction.spread ? percent(prediction.spread[name]) : text("unknown")),
      element("td", !calibration ? text("unknown") : threshold === null ? text("never") : percent(threshold)),
      element("td", !calibration ? text("unknown") : text(called ? "yes" : "no")),
    );
    return row;
  }));
  $("operating").textContent = calibration
    ? text("operating", { specificity: percent(calibration.specificity), images: calibration.validation_images })
    : text("uncalibrated");
}

function showExtent(extent) {
  $("extent").hidden = !extent;
  if (!extent) return;
  $("lungs").replaceChildren(...["right", "left"].map((side) => {
    const lung = extent[`${side}_lung`];
    const row = element("tr");
    row.append(element("th", text(side), { scope: "row" }), element("td", lung ? percent(lung.affected) : text("notFound")));
    return row;
  }));
  const opacity = extent.opacity === null ? text("unknown") : text("ofSix", { score: extent.opacity.toFixed(1) });
  $("score").textContent = text("score", { score: score(extent), opacity });
}

// The studies of the shown picture's patient that are on the worklist, over time.
function showCourse(shown) {
  const { patient } = shown.prediction;
  const studies = state.readings.filter((one) => patient && one.prediction.patient === patient && one.prediction.date)
    .sort((a, b) => a.prediction.date.localeCompare(b.prediction.date));
  $("course").hidden = studies.length < 2;
  if (studies.length < 2) return;
  const times = studies.map((one) => Date.parse(one.prediction.date));
  const [first, last] = [times[0], times[times.length - 1]];
  const x = (time) => (last === first ? 160 : 10 + (300 * (time - first)) / (last - first));
  const curves = [["solid", probability]];
  if (state.model.measures_extent) curves.push(["dashed", (one) => (one.extent?.geographic_extent ?? NaN) / 8]);
  $("curve").replaceChildren(svg("line", { x1: 10, y1: 130, x2: 310, y2: 130, class: "axis" }));
  for (const [name, share] of curves) {
    const points = studies.map((one, i) => [x(times[i]), 130 - 120 * share(one)]);
    drawCurve($("curve"), points.filter(([, y]) => !Number.isNaN(y)), name);
  }
  $("course-text").textContent = studies.map((one) => text(one.extent ? "courseExtent" : "coursePoint", {
    date: one.prediction.date,
    class: state.model.classes[0],
    probability: percent(probability(one)),
    score: one.extent ? score(one.extent) : "",
  })).join("; ");
}

function drawCurve(plot, points, kind) {
  plot.append(svg("polyline", { points: points.map((point) => point.join(",")).join(" "), class: kind }));
  for (const [cx, cy] of points) plot.append(svg("circle", { cx, cy, r: 4, class: kind }));
}

function svg(name, attributes) {
  const made = document.createElementNS($("curve").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function showSimilar(reading) {
  const similar = reading.prediction.similar ?? [];
  const items = await Promise.all(similar.map(async (one) => {
    const caption = text("similarCase", { label: one.label, distance: one.distance.toFixed(2) });
    const item = element("li");
    try {
      const blob = await (await call(`/v1/known/${one.number}`)).blob();
      const image = element("img", undefined, { alt: "" });  // the caption says it
      image.src = URL.createObjectURL(blob);
      image.addEventListener("load", () => URL.revokeObjectURL(image.src));
      item.append(image);
    } catch (error) {
      item.append(element("p", error.message));
    }
    item.append(element("span", caption));
    return item;
  }));
  if (reading !== state.shown) return;
  $("similar-list").replaceChildren(...items);
  $("similar").hidden = items.length === 0;
}

async function showMap() {
  const reading = state.shown;
  state.map += 1;
  const asked = state.map;  // another class or method may be asked for meanwhile
  const canvas = $("map");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  try {
    const query = new URLSearchParams({ class: $("explained").value, method: $("method").value });
    const path = $("method").value === EXTENT ? "/v1/extent/map" : `/v1/explain?${query}`;
    const response = await call(path, reading.file, () => say("busy", { name: reading.name }));
    const map = await createImageBitmap(await response.blob());
    if (asked !== state.map) return;
    canvas.width = map.width;
    canvas.height = map.height;
    canvas.getContext("2d").drawImage(map, 0, 0);
  } catch (error) {
    say("failed", { name: reading.name, error: error.message });
  }
}

async function correct() {
  const reading = state.shown;
  const query = new URLSearchParams({ label: $("label").value, reader: $("reader").value.trim() });
  try {
    const noted = await (await call(`/v1/corrections?${query}`, reading.file)).json();
    if (reading === state.shown) $("corrected").textContent = text("noted", noted);
  } catch (error) {
    if (reading === state.shown) $("corrected").textContent = error.message;
  }
}

// Window and level, as a table of 256 greys.
function draw() {
  const { picture } = state.shown;
  const canvas = $("picture");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const level = Number($("level").value);
  const width = Number($("window").value);
  const invert = $("invert").checked;
  const greys = new Uint8ClampedArray(256);
  for (let grey = 0; grey < 256; grey += 1) {
    const shown = ((grey - level) / width + 0.5) * 255;
    greys[grey] = invert ? 255 - shown : shown;
  }
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const grey = greys[pixels.data[i]];
    pixels.data[i] = grey;
    pixels.data[i + 1] = grey;
    pixels.data[i + 2] = grey;
  }
  context.putImageData(pixels, 0, 0);
}

const view = { x: 0, y: 0 };

function place() {
  const zoom = Number($("zoom").value) / 100;
  const side = $("stage").clientWidth;
  view.x = Math.min(0, Math.max(side - side * zoom, view.x));
  view.y = Math.min(0, Math.max(side - side * zoom, view.y));
  for (const id of ["picture", "map"]) $(id).style.transform = `translate(${view.x}px, ${view.y}px) scale(${zoom})`;
  $("map").style.opacity = Number($("overlay").value) / 100;
}

function resetView() {
  $("level").value = 127.5;
  $("window").value = 255;
  $("zoom").value = 100;
  $("overlay").value = 50;
  $("invert").checked = false;
  view.x = 0;
  view.y = 0;
  draw();
  place();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  place();
}

// Of rows of text, the first of them headings.
function table(rows) {
  const made = element("table");
  rows.forEach((row, i) => {
    const line = element("tr");
    row.forEach((content, j) => {
      const isHeading = i === 0 || j === 0;
      line.append(element(isHeading ? "th" : "td", content, isHeading ? { scope: i === 0 ? "col" : "row" } : {}));
    });
    made.append(line);
  });
  return made;
}

function image(blob, alt) {
  const made = element("img", undefined, { alt });
  made.src = URL.createObjectURL(blob);
  made.addEventListener("load", () => URL.revokeObjectURL(made.src));
  return made;
}

const json = async (path) => (await call(path)).json();

// What each part of the hospital's section is filled with, when it is opened.
const HOUSE = {
  async evaluation() {
    const { classes, report, roc_svg: roc } = await json("/v1/house/evaluation");
    const share = (value) => (value === null ? text("unknown") : percent(value));
    const confusion = [[text("confusion"), ...classes.map((name) => text("saysShort", { class: name }))],
      ...classes.map((name, truth) => [name, ...report.confusion[truth].map(String)])];
    return [
      element("p", text("evaluationText", { images: report.examples, accuracy: share(report.balanced_accuracy) })),
      table(confusion),
      image(new Blob([roc], { type: "image/svg+xml" }), text("roc")),
    ];
  },
  async training() {
    const { run, round, participants, site_scores: scores, course } = await json("/v1/house/training");
    const figure = element("figure");
    const plot = svg("svg", { viewBox: "0 0 320 140", role: "img", class: "curve" });
    const [own, pooled] = ["own", "pooled"].map((whose) => Object.entries(course[whose])
      .filter(([, figures]) => figures.balanced_accuracy !== null)
      .map(([at, figures]) => [Number(at), figures.balanced_accuracy]).sort((a, b) => a[0] - b[0]));
    const last = Math.max(1, ...[...own, ...pooled].map(([at]) => at));
    plot.append(svg("line", { x1: 10, y1: 130, x2: 310, y2: 130, class: "axis" }));
    for (const [kind, points] of [["solid", own], ["dashed", pooled]]) {
      drawCurve(plot, points.map(([at, value]) => [10 + (300 * at) / last, 130 - 120 * value]), kind);
    }
    const ends = (points) => (points.length ? `${percent(points[0][1])} → ${percent(points[points.length - 1][1])}` : text("unknown"));
    figure.append(plot, element("figcaption", text("trainingText", { run, round, own: ends(own), pooled: ends(pooled) })));
    const sites = [...new Set([...participants, ...scores].map((one) => one.site))];
    const rows = sites.map((site) => {
      const trained = participants.find((one) => one.site === site);
      const scored = scores.find((one) => one.site === site);
      return [site, trained ? String(trained.train_examples) : text("unknown"),
        scored ? String(scored.examples) : text("unknown"), scored ? percent(scored.balanced_accuracy) : text("unknown")];
    });
    return [figure, table([["hospital", "examples", "scoredOn", "balancedAccuracy"].map((key) => text(key)), ...rows])];
  },
  async data() {
    const { counts } = await json("/v1/house/data");
    const labels = [...new Set(Object.values(counts).flatMap(Object.keys))].sort();
    const rows = Object.entries(counts).map(([split, of]) => [text(split), ...labels.map((label) => String(of[label] ?? 0))]);
    const sheet = await (await call("/v1/house/contact-sheet")).blob();
    return [table([[text("split"), ...labels], ...rows]), image(sheet, text("contactSheet"))];
  },
  async plans() {
    const plans = await json("/v1/house/plans");
    const rows = plans.map((plan) => [plan.name, text(plan.decision), plan.by, plan.hash.slice(0, 12)]);
    return [table([["plan", "decision", "by", "hash"].map((key) => text(key)), ...rows]), element("p", text("plansText"))];
  },
  async outbox() {
    const sent = await json("/v1/house/outbox");
    const rows = sent.map((one) => [one.time, one.task, String(one.bytes), String(one.train_examples)]);
    return [element("p", text("outboxText")), table([["time", "task", "bytes", "examples"].map((key) => text(key)), ...rows])];
  },
};

async function showHouse(part) {
  const place = $(part).querySelector("div");
  if (!$(part).open || place.dataset.loading) return;
  place.dataset.loading = "yes";
  place.replaceChildren(element("p", text("loading"), { role: "status" }));
  try {
    place.replaceChildren(...await HOUSE[part]());
  } catch (error) {
    place.replaceChildren(element("p", error.message));
  }
  delete place.dataset.loading;
}

function listen() {
  for (const part of Object.keys(HOUSE)) $(part).addEventListener("toggle", () => showHouse(part));
  $("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    enter($("token").value.trim());
  });
  $("correct").addEventListener("submit", (event) => {
    event.preventDefault();
    correct();
  });
  $("files").addEventListener("change", () => read([...$("files").files]));
  for (const id of ["level", "window", "invert"]) $(id).addEventListener("input", draw);
  for (const id of ["zoom", "overlay"]) $(id).addEventListener("input", place);
  for (const id of ["method", "explained"]) $(id).addEventListener("change", showMap);
  $("order").addEventListener("change", showList);
  $("reset").addEventListener("click", resetView);
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", type === "dragover");
      if (type === "drop" && !$("desk").hidden) read([...event.dataTransfer.files]);
    });
  }
  const stage = $("stage");
  stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY);
  });
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [24, 0], ArrowRight: [-24, 0], ArrowUp: [0, 24], ArrowDown: [0, -24] };
    const zooms = { "+": 20, "-": -20 };
    if (event.key in steps) move(...steps[event.key]);
    else if (event.key in zooms) {
      $("zoom").value = Number($("zoom").value) + zooms[event.key];
      place();
    } else return;
    event.preventDefault();
  });
}

// The reader's first language that there is a catalogue of.
function chosenLanguage() {
  const wanted = navigator.languages.map((language) => language.split("-")[0]);
  return wanted.find((language) => LANGUAGES.includes(language)) ?? LANGUAGES[0];
}

async function begin() {
  const language = chosenLanguage();
  document.documentElement.lang = language;
  state.messages = await (await fetch(`/messages.${language}.json`)).json();
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = text(place.dataset.text);
  listen();
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);  // it is not to be seen, nor to be copied with the address
  await enter(given ?? sessionStorage.getItem("token") ?? "");
}

begin().catch((error) => { $("status").textContent = error.message; });
