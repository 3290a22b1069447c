// Texts that models wrote or read: as text, cut where they are too long to lay out at once, and in fixed places.
"use strict";
{
  const CUT = 6000;      // characters shown at first
  const PIECE = 200000;  // characters of one element: a browser lays out pieces that are in view
  const ROLES = { system: "System", user: "User", assistant: "Assistant", answer: "Answer" };

  // A text as it is; `empty` stands for one that is missing or empty.
  kit.text = (text, empty = "none") => {
    if (!text) return kit.el("p", { class: "muted none" }, empty);
    const element = kit.el("div", { class: "text" });
    const piece = (part, name = null) => kit.el("pre", { class: name }, part);
    if (text.length <= CUT) return kit.fill(element, {}, [piece(text)]);
    const more = kit.el("button", { type: "button", onclick: () => {
      const pieces = [];
      for (let i = 0; i < text.length; i += PIECE) pieces.push(piece(text.slice(i, i + PIECE), "piece"));
      element.replaceChildren(...pieces);
    } }, `Show all ${kit.number(text.length)} characters`);
    return kit.fill(element, {}, [piece(text.slice(0, CUT) + " …"), more]);
  };

  // A panel whose text scrolls inside it; closed, it leaves its place to the others. It stays as it was left.
  const closed = new Set(["beside answer"]);
  kit.panel = (name, title) => {
    const body = kit.el("div", { class: "body", role: "group", "aria-label": title, tabIndex: 0 });
    const button = kit.el("button", { type: "button", onclick: () => {
      if (!closed.delete(name)) closed.add(name);
      fold();
    } }, title);
    const element = kit.el("div", { class: `pane ${name}` }, kit.el("h2", {}, button), body);
    let later = null;
    function fold() {
      const open = !closed.has(name);
      element.classList.toggle("open", open);
      button.setAttribute("aria-expanded", String(open));
      body.hidden = !open;
      if (open && later) show(later);
    }
    function show(make) {
      later = make;
      if (closed.has(name)) return;
      body.replaceChildren(make());
      body.scrollTop = 0;
    }
    fold();
    return { element, show };
  };

  // The messages of a step's calls. Of a dialogue, the new message is in front, the earlier ones are folded away. Of
  // several calls, a message of role "note" begins each.
  const unfolded = { system: false, earlier: false };
  kit.prompt = (messages) => {
    const calls = [];
    for (const one of messages) {
      if (one.role === "note" || !calls.length) calls.push([]);
      calls[calls.length - 1].push(one);
    }
    return kit.el("div", {}, calls.map(call));
  };

  function call(messages) {
    const of = (...roles) => messages.filter(({ role }) => roles.includes(role));
    const system = of("system"), said = messages.filter(({ role }) => role in ROLES && role !== "system");
    const start = Math.max(0, said.map(({ role }) => role).lastIndexOf("user"));
    const length = system.reduce((sum, { content }) => sum + content.length, 0);
    return kit.el("section", { class: "call" },
      of("note").map(({ content }) => kit.el("h3", { class: "which" }, content)),
      system.length > 0 && fold("system", `System, ${kit.plural(length, "character")}`, system.map(({ content }) => kit.text(content, "empty"))),
      start > 0 && fold("earlier", kit.plural(start, "earlier message"), said.slice(0, start).map(message)),
      said.slice(start).map(message));
  }

  function fold(name, title, content) {
    const element = kit.el("details", { class: "fold", open: unfolded[name] }, kit.el("summary", {}, title), content);
    element.ontoggle = () => { unfolded[name] = element.open; };
    return element;
  }

  const message = ({ role, content }) =>
    kit.el("div", { class: `message ${role}` }, kit.el("h3", {}, ROLES[role]), kit.text(content, "empty"));
}
