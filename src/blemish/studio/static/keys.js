// Keys of a view with a canvas.

/**
 * @param isShown function that says whether the view is shown.
 * @param stage canvas.
 * @param tools tools with `undo` and `redo`.
 * @param acts function that returns what single keys do, by key.
 */
export function listenForKeys(isShown, stage, tools, acts) {
  addEventListener("keydown", (event) => {
    if (!isShown() || document.querySelector("dialog[open]") || isTyping(event)) return;
    const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (command && key === "z") event.shiftKey ? tools.redo() : tools.undo();
    else if (command || event.altKey) return;
    else if (event.code === "Space" && event.target.matches("button")) return;
    else if (event.code === "Space") stage.space = true;
    else {
      const known = acts();
      if (!(key in known)) return;
      known[key]();
    }
    event.preventDefault();
  });
  addEventListener("keyup", (event) => event.code === "Space" && (stage.space = false));
}

function isTyping(event) {
  const typing = event.target.matches("input[type='number'], input[type='text'], select");
  return typing || (event.target.matches("input[type='range']") && event.key.startsWith("Arrow"));
}
