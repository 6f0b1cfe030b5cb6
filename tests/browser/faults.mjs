// Banners come within five seconds and go away: a broken reload, a lost peer, the node behind the page gone.
// The test that runs this acts on lines of our output and answers on our input.
import { createInterface } from 'node:readline';
import process from 'node:process';
import { assert, given, test } from './driver.mjs';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(what) {
  console.log(`do ${what}`);
  assert.equal((await lines.next()).value, 'done');
}

await test(async (t) => {
  const page = await t.page();
  await page.goto(`${given.base}/alerts`);
  const appears = async (what, text) => {
    const begun = Date.now();
    await page.locator('.banner', { hasText: text }).waitFor({ timeout: 5_000 });
    console.log(`${what}: a banner after ${Date.now() - begun} ms`);
  };
  const goes = (text) => page.locator('.banner', { hasText: text }).waitFor({ state: 'detached', timeout: 20_000 });

  await ask('break the configuration');
  await appears('broken reload', 'The configuration file could not be loaded');
  await ask('mend the configuration');
  await goes('The configuration file could not be loaded');

  await ask('kill a peer');
  await appears('lost peer', /Peer .* (is down|does not answer)/);
  assert.match(await page.locator('header .cluster').innerText(), /2 of 3 peers/);
  await ask('start the peer');
  await goes(/Peer .* (is down|does not answer)/);

  await ask('kill the node');
  await appears('node killed', 'No connection to this node');
  await ask('start the node');
  await goes('No connection to this node');
  await t.close(page, /ERR_|Failed to load/);
  process.exit(0);
});
