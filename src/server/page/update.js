// Keeps the page up to date: asks for the part that changes, and changes only the nodes that differ, so that scroll,
// focus, selection and opened details stay. Everything is text of the same server; nothing in it is run.
"use strict";
(() => {
  const every = 5000;
  const patience = 4000;
  const page = document.getElementById("page");
  let paused = false;
  let timer = 0;

  // Text nodes in which a selection begins or ends are left alone, since a change would move it.
  const selected = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed ? [selection.anchorNode, selection.focusNode] : [];
  };

  const alike = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

  // What the reader or this script has set.
  const own = (node, name) =>
    (node.nodeName === "DETAILS" && name === "open") || (node.id === "pause" && name !== "type");

  const update = (old, fresh, kept) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data && !kept.includes(old)) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !own(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !own(old, name)) old.setAttribute(name, value);
    }
    if (old.id === "pause") return;
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      let found = at;
      while (found && !alike(found, next)) found = found.nextSibling;
      if (!found) {
        old.insertBefore(document.importNode(next, true), at);
        continue;
      }
      while (at !== found) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      update(found, next, kept);
      at = found.nextSibling;
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  const clock = () => new Date().toISOString().slice(11, 19) + " UTC";

  // The verdict on the screen is old: say so where the verdict stands.
  const unanswered = () => {
    if (document.getElementById("unanswered")) return;
    const note = document.createElement("p");
    note.id = "unanswered";
    note.textContent = "No answer from the agent since " + clock() + ". What you see is from before.";
    document.getElementById("told").append(note);
    page.classList.add("stale");
    document.title = "No answer: " + page.dataset.title;
  };

  const refresh = async () => {
    clearTimeout(timer);
    try {
      const answer = await fetch("?fragment", { cache: "no-store", signal: AbortSignal.timeout(patience) });
      const text = await answer.text();
      const fresh = answer.ok && new DOMParser().parseFromString(text, "text/html").getElementById("page");
      if (!fresh) throw new Error("not the page");
      if (fresh.dataset.build !== page.dataset.build) return location.reload();
      update(page, fresh, selected());
      document.title = page.dataset.title;
    } catch {
      unanswered();
    }
    plan();
  };

  const plan = () => {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(refresh, every);
  };

  const pause = document.getElementById("pause");
  pause.hidden = false;
  pause.setAttribute("aria-pressed", "false");
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Paused" : "Pause";
    if (paused) clearTimeout(timer);
    else refresh();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused) refresh();
  });
  plan();
})();
