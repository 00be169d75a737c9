// Magnifies all crops of an image at the same position. The page is complete without it.
document.body.classList.add("has-script");
for (const strip of document.querySelectorAll(".strip")) {
  const look = (lens, event) => {
    const box = lens.getBoundingClientRect();
    const percent = (value, size) => `${Math.min(Math.max(100 * value / size, 0), 100)}%`;
    strip.style.setProperty("--x", percent(event.clientX - box.left, box.width));
    strip.style.setProperty("--y", percent(event.clientY - box.top, box.height));
  };
  for (const lens of strip.querySelectorAll(".lens")) {
    lens.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || strip.classList.contains("pinned")) return;
      look(lens, event);
      strip.classList.add("zoomed");
    });
    lens.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !strip.classList.contains("pinned")) strip.classList.remove("zoomed");
    });
    lens.addEventListener("click", (event) => {
      const pinned = strip.classList.toggle("pinned");
      if (pinned) look(lens, event);
      strip.classList.toggle("zoomed", pinned);
    });
  }
}
