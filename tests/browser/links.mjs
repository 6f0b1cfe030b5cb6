// Addresses that are out in the world: Alertmanager's fragments, with and without a prefix; and cross-site pages.
import { createServer } from 'node:http';
import { assert, eventually, given, test } from './driver.mjs';

const { base, other } = given; // with a prefix perhaps; a node with --web.cors.origin

await test(async (t) => {
  const silences = await (await fetch(`${base}/api/v2/silences`)).json();
  const { id } = silences[0];
  const filter = encodeURIComponent('{team="db", severity=~"warn.*"}');
  const old = [
    ['#/alerts', /\/alerts$/],
    ['#/alerts?receiver=db-oncall', /\/alerts\?receiver=db-oncall$/],
    [`#/alerts?silenced=false&inhibited=true&muted=false&active=true&filter=${filter}`, /\/alerts\?silenced=false&inhibited=true.*filter=/],
    ['#/alerts?group=team,job&customGrouping=true', /\/alerts\?group=team,job&customGrouping=true$/],
    ['#/silences', /\/silences$/],
    [`#/silences?filter=${filter}`, /\/silences\?filter=/],
    ['#/silences/new', /\/silences\/new$/],
    [`#/silences/new?filter=${filter}&comment=why`, /\/silences\/new\?filter=.*comment=why$/],
    [`#/silences/${id}`, new RegExp(`/silences/${id}$`)],
    [`#/silences/${id}/edit`, new RegExp(`/silences/${id}/edit$`)],
    ['#/status', /\/status$/],
    ['#/settings', /\/settings$/],
  ];
  for (const [fragment, expected] of old) {
    const page = await t.page();
    await page.goto(`${base}/${fragment}`);
    await page.waitForURL(expected);
    await page.locator('main h1').waitFor({ state: 'attached' });
    assert.ok(!/There is no such page/.test(await page.locator('main').innerText()), fragment);
    await t.close(page);
  }
  const form = await t.page();
  await form.goto(`${base}/#/silences/new?filter=${filter}&comment=why&creator=me&duration=3h`);
  await form.waitForURL(/silences\/new/);
  assert.deepEqual(await form.locator('[name=name]').evaluateAll((all) => all.map((one) => one.value)), ['team', 'severity', '']);
  assert.deepEqual(await form.locator('[name=op]').evaluateAll((all) => all.map((one) => one.value)), ['=', '=~', '=']);
  assert.equal(await form.locator('[name=length]').inputValue(), '3h');
  assert.equal(await form.locator('[name=creator]').inputValue(), 'me');
  // The browser's own back button leads to the view before.
  await form.goto(`${base}/alerts`);
  await form.locator('.toggle.silenced').click();
  await form.waitForURL(/silenced=true/);
  await form.goBack();
  await eventually('silenced ones are hidden again', async () => (await form.locator('.toggle.silenced[data-on]').count()) === 0);
  await t.close(form);

  // A page of another site writes.
  const site = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>x</title>')).listen(0, '127.0.0.1');
  await new Promise((done) => site.on('listening', done));
  const foreign = `http://localhost:${site.address().port}`;
  const count = async () => (await (await fetch(`${base}/api/v2/silences`)).json()).length;
  const before = await count();
  const page = await t.page({ servers: [foreign, other] });
  await page.goto(foreign);
  const body = { matchers: [{ name: 'a', value: 'b', isRegex: false }], startsAt: new Date().toISOString(), endsAt: new Date(Date.now() + 3.6e6).toISOString(), createdBy: 'x', comment: 'x' };
  const write = (address) => page.evaluate(async ([url, text]) => {
    try {
      return (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text })).status;
    } catch { return 'refused'; }
  }, [`${address}/api/v2/silences`, JSON.stringify(body)]);
  assert.ok([403, 'refused'].includes(await write(base)));
  const reads = await page.evaluate(async (url) => (await fetch(url)).status, `${base}/api/v2/alerts`);
  assert.equal(reads, 200, 'reading stays open, as karma reads');
  await page.setContent(`<form method="post" action="${base}/silences/new"><input name="do" value="save"><input name="name" value="a"><input name="op" value="="><input name="value" value="b"><input name="length" value="1h"><input name="creator" value="x"><input name="comment" value="x"><button>go</button></form>`);
  const [sent] = await Promise.all([page.waitForResponse(/silences\/new/), page.locator('button').click()]);
  assert.equal(sent.status(), 403);
  assert.equal(await count(), before, 'no silence was made');
  // The flag lets one origin in.
  await page.goto(foreign);
  assert.equal(await write(other), 200, '--web.cors.origin lets karma write from the browser');
  await t.close(page, /403|CORS|ERR_FAILED|Access-Control/i);
  site.close();
});
