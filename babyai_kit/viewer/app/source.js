// Where the data come from: the server, or the files of an export. Pages see no difference.
//
// An export's data/export.js comes after this file and calls kit.loaded("runs", TEXT). Every other piece is in
// data/KEY.js, which calls kit.loaded(KEY, TEXT); TEXT is the base64 of the gzip of JSON.
"use strict";
{
  const KEPT = 20;
  const pieces = new Map();
  const awaited = new Map();
  const encode = (...parts) => parts.map(encodeURIComponent).join("/");

  // Promises of the latest episodes; one that failed is asked for again.
  const kept = new Map();
  const keep = (key, load) => {
    const promise = kept.get(key) || load();
    kept.delete(key);
    kept.set(key, promise);
    promise.catch(() => kept.delete(key));
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return promise;
  };

  // path -> the number of the latest request that was answered
  const answered = new Map();
  let requests = 0;

  async function get(path) {
    const mine = ++requests;
    let response;
    try {
      response = await fetch("api/" + path, { cache: "no-cache" });
    } catch {
      throw new Error("The viewer does not answer any more; start it again: python -m babyai_kit view");
    }
    const body = await response.json().catch(() => null);
    // Overtaken by a later request: this answer may be older than what is on screen.
    if (mine < answered.get(path)) return get(path);
    answered.set(path, mine);
    if (!response.ok) throw new Error(body?.error || `The viewer answered with status ${response.status}; reload the page`);
    return body;
  }

  const server = {
    runs: () => get("runs"),
    run: (name) => get(encode("runs", name)),
    episode: (run, id) => keep(`${run}/${id}`, () => get(encode("runs", run, "episodes", id))),
    prompts: (run, id) => keep(`${run}/${id}/prompts`, () => get(encode("runs", run, "episodes", id, "prompts"))),
    search: (run, text) => get(`${encode("runs", run, "search")}?q=${encodeURIComponent(text)}`),
    figures: (run) => get(encode("runs", run, "figures")),
    compare: (a, b) => {
      const side = (name, { run, agent, model }) => ({ [name + ".run"]: run, [name + ".agent"]: agent, [name + ".model"]: model });
      return get("compare?" + kit.params({ ...side("a", a), ...side("b", b) }));
    },
  };

  kit.loaded = (key, text) => {
    pieces.set(key, unpack(text));
    awaited.get(key)?.resolve();
    awaited.delete(key);
  };

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  function fetchPiece(key) {
    const src = `data/${encode(...key.split("/"))}.js`;
    const wait = {};
    wait.arrival = new Promise((resolve, reject) => {
      wait.resolve = resolve;
      const onerror = () => {
        awaited.delete(key);
        reject(new Error(`${src} is missing from this export; export it again: python -m babyai_kit view RUN --export DIR`));
      };
      document.head.append(kit.el("script", { src, onerror }));
    });
    awaited.set(key, wait);
  }

  async function piece(key) {
    if (!pieces.has(key)) {
      if (!awaited.has(key)) fetchPiece(key);
      await awaited.get(key).arrival;
    }
    return pieces.get(key);
  }

  async function chunk(run, number, read) {
    const key = `episodes/${run}/${number}`;
    const episodes = await piece(key);
    const result = read(episodes);
    // Unpacked chunks are large; the script is read again when it is needed.
    keep(key, async () => episodes);
    for (const name of [...pieces.keys()]) if (name.startsWith("episodes/") && !kept.has(name)) pieces.delete(name);
    return result;
  }

  async function exported(run, id) {
    const { episodes } = await piece(`run/${run}`);
    const index = episodes.id.indexOf(id);
    if (index < 0) throw new Error(`${id} is not an episode of ${run}; choose one in its grid`);
    return chunk(run, episodes.chunk[index], (list) => list.find(({ view }) => view.id === id));
  }

  const side = ({ run, agent, model }) => JSON.stringify([run, agent, model]);

  const files = {
    runs: () => piece("runs"),
    run: (name) => piece(`run/${name}`),
    episode: async (run, id) => (await exported(run, id)).view,
    prompts: async (run, id) => (await exported(run, id)).prompts,
    async search(run, text) {
      const { episodes } = await piece(`run/${run}`);
      const sought = text.toLowerCase();
      const says = (part) => part !== null && part !== undefined && part.toLowerCase().includes(sought);
      const ids = [];
      for (const number of new Set(episodes.chunk.filter((n, index) => episodes.id[index] !== null))) {
        ids.push(...(await chunk(run, number, (list) => list.filter(({ view }) =>
          view.steps.some((step) => says(step.observation) || says(step.thinking))).map(({ view }) => view.id))));
      }
      return { ids, whole: true };
    },
    figures: (run) => piece(`figures/${run}`),
    async compare(a, b) {
      const pairs = await piece(`compare/${a.run}`);
      const pair = pairs.find((one) => side(one.a) === side(a) && side(one.b) === side(b));
      if (!pair) throw new Error("This export has no comparison of these two; export both runs together: python -m babyai_kit view RUN RUN --export DIR");
      return pair;
    },
  };

  const isExport = () => pieces.has("runs");
  const listeners = new Set();
  let events = null;

  function listen() {
    events = new EventSource("api/events");
    events.onmessage = ({ data }) => {
      const { run } = JSON.parse(data);
      for (const key of [...kept.keys()]) if (key.startsWith(run + "/")) kept.delete(key);
      for (const listener of listeners) listener(run);
    };
  }

  kit.source = {
    get live() { return !isExport(); },
    watch(callback) {
      if (isExport()) return;
      listeners.add(callback);
      if (events === null) listen();
    },
    play: null,
  };
  for (const name of Object.keys(server)) {
    kit.source[name] = (...values) => (isExport() ? files : server)[name](...values);
  }
}
