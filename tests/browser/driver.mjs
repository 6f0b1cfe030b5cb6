// The browser of the tests: the distribution's Chromium, headless, with a fresh profile.
// Every request that would leave the servers under test is stopped and fails the test, and so does everything that a page
// throws, writes to the console as an error, asks in a dialog, or that its Content-Security-Policy forbids.
//
// A test is a file beside this one: `await test(async (t) => { … })`. It is run as
//   node tests/browser/NAME.mjs '{"base": "http://127.0.0.1:9093", …}'
// with the modules of package.json in $BROWSER_MODULES (tests/run puts them into target/browser).

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import process from 'node:process';

const modules = process.env.BROWSER_MODULES ?? new URL('../../target/browser', import.meta.url).pathname;
const require = createRequire(`${modules}/`);
const { chromium } = require('playwright-core');

/** What the test was given: at least `base`, the address of the server under test. */
export const given = JSON.parse(process.argv[2] ?? '{}');

const DEADLINE_MS = 240_000;
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** Runs one test with a browser and ends the process: 0 when nothing was wrong. */
export async function test(run) {
  const late = setTimeout(() => fail(new Error(`not finished within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });
  try {
    await run(new Tester(browser));
  } catch (error) {
    fail(error);
  } finally {
    await browser.close();
    clearTimeout(late);
  }
}

function fail(error) {
  console.error(error?.stack ?? error);
  process.exit(1);
}

class Tester {
  constructor(browser) {
    this.browser = browser;
  }

  /** Opens a page of its own. `script: false` turns JavaScript off. `servers` lists further origins that it may talk to. */
  async page({ theme = 'light', script = true, width = 1280, height = 800, servers = [], headers, forced } = {}) {
    const context = await this.browser.newContext({
      colorScheme: theme,
      forcedColors: forced,
      javaScriptEnabled: script,
      viewport: { width, height },
      reducedMotion: 'reduce',
      extraHTTPHeaders: headers,
    });
    const own = [given.base, ...servers].map((address) => new URL(address).origin);
    const wrong = [];
    await context.route('**', (route) => {
      const url = route.request().url();
      if (/^(data|blob|about):/.test(url) || own.includes(new URL(url).origin)) return route.continue();
      wrong.push(`request leaves the server: ${url}`);
      return route.abort();
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => wrong.push(`page error: ${error}`));
    page.on('dialog', (dialog) => {
      wrong.push(`dialog: ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
    page.on('console', (message) => {
      if (message.type() === 'error') wrong.push(`console: ${message.text()}`);
    });
    page.wrong = wrong;
    return page;
  }

  /** Closes a page; nothing may have been wrong with it but what `expected` matches. */
  async close(page, expected = /$^/) {
    const wrong = page.wrong.filter((line) => !expected.test(line));
    await page.context().close();
    assert.deepEqual(wrong, []);
  }
}

/** axe-core's violations of WCAG 2.2 AA on the page as it stands, as readable lines. */
export async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) {
    const { readFileSync } = await import('node:fs');
    // Not as a script element: the page's policy forbids that, and rightly.
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  }
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  return found.violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)} ${node.any?.[0]?.message ?? ''}`));
}

/** Asks until there is something true. */
export async function eventually(what, ask, limitMs = 15_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < end, `not within ${limitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export { assert };
