// What a person does in a browser, scene by scene. It is told in one argument, says what it saw on its last line, and fails with the first
// thing that is not as it should be. It waits for what it wants to see, and never for time.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { connect, createServer as createLine } from "node:net";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";

const asked = JSON.parse(process.argv[2]);
const require = createRequire(join(asked.modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { url, details } = asked;
const demo = `${url}/pipelines/demo-leads`;

const browser = await chromium.launch({ executablePath: asked.chromium, args: ["--no-sandbox", "--disable-gpu"] });

// A tab that notes what a page must not do: complain, ask others, or fail. Refusals that a scene wants are `expected`.
async function tab(options = {}, expected = []) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const wrong = [];
  const answers = [];
  page.on("console", (said) => {
    const isExpected = expected.some((status) => said.text().includes(`status of ${status}`));
    if (["error", "warning"].includes(said.type()) && !isExpected) wrong.push(`${said.type()}: ${said.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`uncaught: ${error}`));
  page.on("request", (sent) => { if (new URL(sent.url()).origin !== url) wrong.push(`asks ${sent.url()}`); });
  page.on("response", (answer) => answers.push(answer));
  const quiet = async () => { assert.deepEqual(wrong, []); await context.close(); };
  return { page, context, answers, quiet };
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
  if (told.length > 0) console.log(where, told.join("\n"));
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id }) => id), [], `${where}\n${told.join("\n")}`);
}

const scenes = {
  // Every page in each look: nothing complains, nothing is too wide, nothing serious for those who do not see or use a mouse.
  async look() {
    mkdirSync(asked.screenshots, { recursive: true });
    const seen = {};
    for (const [name, path] of Object.entries(details.pages)) {
      const { page, answers, quiet } = await tab({ reducedMotion: "reduce" }, name === "refusal" ? [404] : []);
      await page.goto(url + path, { waitUntil: "load" });
      if (await page.locator("[data-live]").count()) await page.locator("#live").filter({ hasText: /^live$/ }).waitFor();
      const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null);
      const own = answers.filter((answer) => ["document", "stylesheet", "script"].includes(answer.request().resourceType())).slice(0, 3);
      const bodies = await Promise.all(own.map((answer) => answer.body()));
      assert.equal(bodies.length, 3, `${name}: ${own.map((answer) => answer.url())}`);
      seen[name] = { bytes: bodies.reduce((sum, body) => sum + body.length, 0), paint_ms: paint && Math.round(paint) };
      for (const width of [1280, 390]) {
        for (const colorScheme of ["light", "dark"]) {
          const where = `${name} ${width} ${colorScheme}`;
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.equal(wide, 0, `${where} is wider than its window`);
          await accessible(page, where);
          await page.screenshot({ path: join(asked.screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
      }
      await quiet();
    }
    return seen;
  },

  async click() {
    const { page, quiet } = await tab({ javaScriptEnabled: details.scripts }, [400]);
    const state = page.locator("#state .chip");
    const is = async (text) => {
      // Without scripts a person reloads to see how far it is.
      while (!details.scripts && !(await state.textContent()).includes(text)) await page.goto(demo);
      await state.filter({ hasText: text }).waitFor();
    };
    const button = (name) => page.getByRole("button", { name });
    await page.goto(demo);
    await is("idle");
    await button("Pause").click();
    await is("paused");
    await page.locator("#notice").getByText("Paused.").waitFor();
    assert.equal(await button("Run now").count(), 0);
    await button("Resume").click();
    await is("idle");
    const runs = page.locator("#runs tbody tr");
    assert.equal(await runs.count(), 1);
    await button("Run now").click();
    while (!details.scripts && (await runs.count()) < 2) await page.goto(demo);
    await runs.nth(1).waitFor();
    await is("idle");
    await page.locator(`#dead-letters a[href="/dead-letters/${details.letter}"]`).click();
    const record = page.getByRole("textbox");
    const text = await record.inputValue();
    JSON.parse(text);
    // What makes no sense is refused, and is still there to be mended.
    await record.fill("{ \"id\": ");
    await button("Keep and replay").click();
    await page.getByText("what was typed is no JSON object").waitFor();
    assert.equal(await record.inputValue(), "{ \"id\": ");
    const mended = JSON.stringify({ ...JSON.parse(text), email: details.email }, null, 2);
    await record.fill(mended);
    await button("Keep the change").click();
    await page.getByRole("heading", { name: "As it was read" }).waitFor();
    assert.ok((await record.inputValue()).includes(details.email));
    await button("Keep and replay").click();
    await page.waitForURL(/\/pipelines\/demo-leads/);
    const gone = page.locator("#dead-letters caption", { hasText: new RegExp(`^${details.letters - 1} dead letter`) });
    while (!details.scripts && !(await gone.count())) await page.goto(demo);
    await gone.waitFor();
    await is("idle");
    await runs.nth(2).locator("a").waitFor();
    await runs.nth(0).locator("a").click();
    await page.getByRole("heading", { name: /^Run of/ }).waitFor();
    await page.locator("#events").getByText("run ended").waitFor();
    return quiet();
  },

  async live() {
    const [one, two] = [await tab(), await tab()];
    const live = (page) => page.locator("#live").filter({ hasText: /^live$/ }).waitFor();
    await one.page.goto(demo);
    await two.page.goto(url);
    await Promise.all([live(one.page), live(two.page)]);
    await one.page.evaluate(() => { window.unchanged = true; });
    const row = two.page.locator("tr", { hasText: "demo-leads" });
    const send = async (what) => assert.ok((await fetch(`${url}/api/v1/pipelines/demo-leads/${what}`, { method: "POST" })).ok);
    await send("pause");
    await one.page.locator("#state .chip", { hasText: "paused" }).waitFor();
    await row.locator(".chip", { hasText: "paused" }).waitFor();
    await send("resume");
    await one.page.locator("#state .chip", { hasText: "idle" }).waitFor();
    await send("trigger");
    await one.page.locator("#runs tbody tr").nth(1).waitFor();
    assert.equal(await one.page.evaluate(() => window.unchanged), true, "nothing was loaded anew");
    await two.quiet();
    return one.quiet();
  },

  // A line between the browser and the service breaks, something happens meanwhile, and the line is there again.
  async broken() {
    const sockets = new Set();
    const pass = (from) => {
      const to = connect(Number(new URL(url).port), "127.0.0.1");
      for (const [one, other] of [[from, to], [to, from]]) {
        sockets.add(one);
        one.on("error", () => other.destroy()).on("close", () => sockets.delete(one)).pipe(other);
      }
    };
    const open = async (port) => {
      const line = createLine(pass);
      await new Promise((listening) => line.listen(port, "127.0.0.1", listening));
      return line;
    };
    const line = await open(0);
    const { port } = line.address();
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(`http://127.0.0.1:${port}/pipelines/demo-leads`);
    const state = (text) => page.locator("#live").filter({ hasText: text }).waitFor();
    await state(/^live$/);
    line.close();
    for (const socket of sockets) socket.destroy();
    await state("not live");
    assert.ok((await fetch(`${demo.replace("/pipelines", "/api/v1/pipelines")}/pause`, { method: "POST" })).ok);
    assert.equal(await page.locator("#state .chip", { hasText: "idle" }).count(), 1, "it cannot know yet");
    const again = await open(port);
    await page.locator("#state .chip", { hasText: "paused" }).waitFor();
    await state(/^live$/);
    await context.close();
    again.close();
    for (const socket of sockets) socket.destroy();
  },

  async keys() {
    const { page, quiet } = await tab();
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
    await page.goto(url);
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the content");
    assert.ok(await page.locator(".skip").evaluate((link) => link.getBoundingClientRect().left >= 0), "it shows when it has the focus");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const until = async (text) => {
      for (let pressed = 0; pressed < 60; pressed++) {
        await page.keyboard.press("Tab");
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, "none", `the focus shows at ${await focused()}`);
        if ((await focused()).startsWith(text)) return;
      }
      assert.fail(`no way to ${text}`);
    };
    await until("demo-leads");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/pipelines\/demo-leads/);
    await page.locator("#live").filter({ hasText: /^live$/ }).waitFor();
    await until("Pause");
    await page.keyboard.press("Enter");
    await page.locator("#state .chip", { hasText: "paused" }).waitFor();
    await until("Resume");
    await page.keyboard.press("Space");
    await page.locator("#state .chip", { hasText: "idle" }).waitFor();
    return quiet();
  },

  async "sign-in"() {
    const { page, context, quiet } = await tab({}, [401]);
    await page.goto(demo);
    await accessible(page, "sign-in");
    await page.getByLabel("Token").fill("guessed");
    await page.keyboard.press("Enter");
    await page.getByText("This is another token.").waitFor();
    await page.getByLabel("Token").fill(details.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(demo);
    await page.locator("#live").filter({ hasText: /^live$/ }).waitFor();
    assert.equal(await page.evaluate(() => document.cookie), "");
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    assert.ok(!cookie.value.includes(details.token));
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#state .chip", { hasText: "paused" }).waitFor();
    const secret = await page.content();
    assert.ok(!secret.includes(details.token));
    await page.goto(url);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.deepEqual(await context.cookies(), []);
    return quiet();
  },

  async foreign() {
    const html = `<form id=f method=post action="${demo}/pause"></form><iframe name=frame src="${url}/"></iframe>
      <script>fetch("${demo}/trigger", { method: "POST", mode: "no-cors", body: new URLSearchParams("a=b") }).finally(() => f.submit())</script>`;
    const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(html));
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    const context = await browser.newContext();
    const page = await context.newPage();
    const [refused] = await Promise.all([
      page.waitForResponse((answer) => answer.url() === `${demo}/pause`),
      page.goto(`http://127.0.0.1:${server.address().port}/`),
    ]);
    assert.equal(refused.status(), 403);
    await page.getByText("a page of another site sent it").waitFor();
    server.close();
  },
};

try {
  const seen = await scenes[asked.scene]();
  console.log(JSON.stringify(seen ?? {}));
} finally {
  await browser.close();
}
