// Looks at the status page in Chromium as a person with a browser does. `main.rs` starts it once, writes one question a
// line as JSON to its standard input, and reads one answer a line: {"ok": …} or {"error": "…"}.
//
// The browser is that of the machine (AUDITRAIL_CHROMIUM, or chromium in PATH); playwright-core drives it, axe-core looks
// for what hinders people with disabilities.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.AUDITRAIL_CHROMIUM,
  // The tests may run as root, where Chromium has no sandbox.
  args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"],
});

// The open page, and what it did that it should not.
let context;
let page;
let faults = [];

const open = async ({ url, width = 1280, scheme = "light", scripts = true }) => {
  await context?.close();
  faults = [];
  context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    javaScriptEnabled: scripts,
    reducedMotion: "reduce",
    timezoneId: "Pacific/Chatham",
  });
  page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(url) && !to.startsWith("data:")) faults.push(`request: ${to}`);
  });
  const answer = await page.goto(url, { waitUntil: "load" });
  return { status: answer.status(), headers: answer.headers() };
};

// What axe-core finds, beside its minor remarks.
const findings = async () => {
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document));
  const severe = result.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return severe.map(
    (one) => `axe ${one.impact} ${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ")}`,
  );
};

const questions = {
  open,
  // One more width and colour scheme of the open page.
  async view({ width, scheme, height = 900 }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    const wide = await page.evaluate(() => {
      const room = document.documentElement.clientWidth;
      const over = [...document.querySelectorAll("body *")].filter((one) => {
        const box = one.getBoundingClientRect();
        // Headings of columns are for screen readers only on a small screen.
        return box.right > room + 1 && box.width > 0 && !one.closest("thead");
      });
      return over.slice(0, 3).map((one) => `wider than the screen: ${one.outerHTML.slice(0, 200)}`);
    });
    const scrolls = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    return [...(scrolls ? ["scrolls sideways"] : []), ...wide, ...(await findings()), ...faults];
  },
  // A value that this expression has in the page.
  async value({ script }) {
    return page.evaluate(script);
  },
  // Waits until this expression is true in the page.
  async until({ script, seconds = 20 }) {
    // The page's policy forbids to evaluate text in it, so the waiting is done here.
    const holds = () =>
      page.evaluate(script).catch((error) => {
        // The page loads itself again at this moment.
        if (/context was destroyed/.test(error)) return false;
        throw error;
      });
    for (const end = Date.now() + seconds * 1000; !(await holds()); ) {
      if (Date.now() > end) throw new Error(`waited ${seconds} s in vain`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  },
  async press({ key }) {
    await page.keyboard.press(key);
  },
  async faults() {
    return faults;
  },
  async picture({ file, width, scheme, height }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: file, fullPage: false });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...about } = JSON.parse(line);
  let said;
  try {
    said = { ok: (await questions[ask](about)) ?? null };
  } catch (error) {
    said = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
await browser.close();
