// What all pages share: elements, formats, addresses and the register of pages. The one global is `kit`.
"use strict";
var kit = globalThis.kit || (globalThis.kit = {});
{
  // Elements. Strings become text nodes: text that others wrote is never parsed.
  const PROPERTIES = new Set(["checked", "value", "disabled", "hidden", "indeterminate", "selected", "open", "tabIndex", "htmlFor"]);

  kit.el = (tag, attributes = {}, ...children) => kit.fill(document.createElement(tag), attributes, children);

  kit.svg = (tag, attributes = {}, ...children) =>
    kit.fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  kit.fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") element[name] = value;
      else if (PROPERTIES.has(name)) element[name] = value;
      else if (name === "style") Object.assign(element.style, value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  // Formats. What isn't known is a dash.
  const NONE = "–";
  const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  const formats = new Map();
  const format = (digits) => {
    if (!formats.has(digits)) {
      formats.set(digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
    }
    return formats.get(digits);
  };

  kit.number = (value, digits = 0) => (known(value) ? format(digits).format(value).replace(/^-/, "−") : NONE);
  kit.percent = (share, digits = 0) => (known(share) ? kit.number(100 * share, digits) + "%" : NONE);
  kit.interval = (low, high) => (known(low) && known(high) ? `${kit.number(100 * low)} to ${kit.number(100 * high)}%` : NONE);
  kit.dollars = (value) =>
    !known(value) ? NONE : value === 0 ? "$0" : "$" + kit.number(value, value >= 100 ? 0 : value >= 0.1 ? 2 : 4);
  kit.short = (value) =>
    !known(value) ? NONE : value < 10_000 ? kit.number(value) : value < 1e6 ? kit.number(value / 1e3) + "k" : kit.number(value / 1e6, 1) + "M";
  kit.seconds = (value) =>
    !known(value) ? NONE : value < 1 ? kit.number(1000 * value) + " ms" : value < 100 ? kit.number(value, 1) + " s" : kit.number(value / 60) + " min";
  kit.plural = (count, one, many = one + "s") => `${kit.number(count)} ${count === 1 ? one : many}`;
  kit.time = (text) => {
    const date = new Date(text);
    if (!text || Number.isNaN(date.getTime())) return NONE;
    const two = (n) => String(n).padStart(2, "0");
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
  };

  // The colour behind a CSS variable now, for canvases.
  const probe = kit.el("i", { class: "unseen", "aria-hidden": "true" });
  kit.colour = (variable) => {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(${variable})`;
    return getComputedStyle(probe).color;
  };

  // Addresses: `#/PAGE?params`; `#/` is the overview.
  kit.pages = new Map();
  kit.page = (name, page) => kit.pages.set(name, page);

  kit.link = (page, params = {}) => {
    const query = (params instanceof URLSearchParams ? params : kit.params(params)).toString();
    return "#/" + (page === "overview" ? "" : page) + (query ? "?" + query : "");
  };

  // {name: value or [values]}; null and "" are left out.
  kit.params = (values) => {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) {
      for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") params.append(name, one);
    }
    return params;
  };

  kit.address = (hash = location.hash) => {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    return { page: path || "overview", params: new URLSearchParams(query) };
  };

  kit.go = (page, params = {}, { replace = false } = {}) => {
    const link = kit.link(page, params);
    if (!replace) location.hash = link;
    else if (link !== kit.link(kit.address().page, kit.address().params)) {
      history.replaceState(history.state, "", link);
      kit.route();
    }
  };

  // A polite sentence for screen readers.
  kit.say = (text) => {
    const region = document.getElementById("say");
    region.textContent = "";
    requestAnimationFrame(() => { region.textContent = text; });
  };

  kit.error = (error) => kit.el("p", { class: "trouble", role: "alert" }, error instanceof Error ? error.message : String(error));
}
