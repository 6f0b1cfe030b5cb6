// The start page opens, and nothing leaves the server.
import { assert, given, test } from './driver.mjs';

await test(async (t) => {
  const page = await t.page();
  const answer = await page.goto(given.base);
  assert.equal(answer.status(), 200);
  assert.match(await page.title(), /Tocsin/);
  await t.close(page);
});
