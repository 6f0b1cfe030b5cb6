// What a newcomer must be able to do without reading anything, with and without JavaScript. A step is a click, a tap, a
// choice or one field typed into; the numbers must not grow.
import { assert, eventually, given, test } from './driver.mjs';
import { expire, silence } from './seed.mjs';

const { base } = given;
const api = async (path) => (await fetch(`${base}/api/v2/${path}`)).json();

/** Counts what a person does. */
function person(page) {
  let steps = 0;
  const step = (act) => (...args) => { steps += 1; return act(...args); };
  return {
    click: step((query) => page.locator(query).first().click()),
    fill: step((query, text) => page.locator(query).first().fill(text)),
    press: step((query, key) => page.locator(query).first().press(key)),
    steps: () => steps,
  };
}

const tasks = {
  async 'see what fires and why it was told or not'(page, me) {
    await page.goto(base);
    await page.locator('.alert >> text=DiskFull').first().waitFor();
    await me.click('.toggle.inhibited');
    await me.click('.alert.inhibited a.name:has-text("SlowQueries")');
    await page.waitForURL(/alerts\/[0-9a-f]{16}$/);
    const text = await page.locator('main').innerText();
    assert.match(text, /inhibited\s+by\s+DiskFull/);
    assert.match(text, /While \{severity="critical"\} fires/);
    assert.match(text, /was not told of this alert/);
    assert.match(text, /Told by/);
    return 2;
  },
  async 'silence one alert for an hour'(page, me) {
    await page.goto(base);
    await me.click('.alert:has-text("QueueGrows") a.act');
    await me.click('button:has-text("1 h")');
    await eventually('the length is an hour', async () => (await page.locator('[name=length]').inputValue()) === '1h');
    await me.fill('[name=creator]', 'nina');
    await me.click('button:has-text("Create")');
    await page.waitForURL(/silences\/[0-9a-f-]{36}/);
    const id = page.url().match(/silences\/([0-9a-f-]{36})/)[1];
    const made = await api(`silence/${id}`);
    assert.equal(made.createdBy, 'nina');
    assert.equal(Math.round((new Date(made.endsAt) - new Date(made.startsAt)) / 60_000), 60);
    assert.ok(made.matchers.some(({ name, value }) => name === 'queue' && value === 'mail'));
    assert.match(await page.locator('main').innerText(), /Matches 1 alert now/);
    await expire(base, id);
    return 4;
  },
  async 'silence a whole service until tomorrow morning and see what it covers'(page, me) {
    await page.goto(`${base}/alerts?silenced=true&inhibited=true`);
    await me.click('.chip:has-text("checkout")');
    await page.locator('.chosen').first().waitFor();
    await me.click('text=Silence this filter');
    await me.click('button:has-text("tomorrow 9:00")');
    await eventually('both alerts are previewed', async () => /Affected alerts: 2/.test(await page.locator('#preview').innerText()));
    await me.fill('[name=creator]', 'nina');
    await me.fill('[name=comment]', 'checkout is being rolled back');
    await me.click('button:has-text("Create")');
    await page.waitForURL(/silences\/[0-9a-f-]{36}/);
    const id = page.url().match(/silences\/([0-9a-f-]{36})/)[1];
    assert.match((await api(`silence/${id}`)).endsAt, /T09:00:00/);
    await expire(base, id);
    return 6;
  },
  async 'find and end a forgotten silence'(page, me) {
    const id = await silence(base, [['service', 'forgotten']], { comment: 'Old and forgotten', createdBy: 'gone', hours: 90 });
    await page.goto(base);
    await me.click('nav >> text=Silences');
    await me.fill('#filter', 'forgotten');
    await me.press('#filter', 'Enter');
    await eventually('one is left', async () => (await page.locator('.silence').count()) === 1);
    await me.click('.silence summary:has-text("Expire")');
    await me.click('.silence button:has-text("Yes, expire now")');
    await eventually('it has ended', async () => (await api(`silence/${id}`)).status.state === 'expired');
    return 5;
  },
  async 'see whether all three peers agree'(page, me) {
    await page.goto(base);
    assert.match(await page.locator('header .cluster').innerText(), /3 of 3 peers/);
    await me.click('header .cluster');
    await page.waitForURL(/status$/);
    assert.match(await page.locator('.verdict').innerText(), /3 of 3 peers are live, ready, and run the same configuration/);
    assert.equal(await page.locator('.peers tbody tr').count(), 3);
    return 1;
  },
  async 'find where labels are routed'(page, me) {
    await page.goto(base);
    await me.click('nav >> text=Routes');
    await me.fill('#labels', 'alertname=DiskFull severity=critical team=db');
    await me.click('text=Test');
    await page.locator('#answer').waitFor();
    assert.equal(await page.locator('#answer').innerText(), 'Goes to pager, then db-oncall.');
    assert.equal(await page.locator('.route.hit').count(), 2);
    return 3;
  },
  async 'share exactly this view'(page, me) {
    await page.goto(base);
    await me.click('.sevs .sev.warning');
    await page.locator('.chosen').first().waitFor();
    const link = await page.locator('a:has-text("Link to this view")').getAttribute('href');
    const shown = await page.locator('.alert .name').allInnerTexts();
    const other = await page.context().newPage();
    await other.goto(new URL(link, page.url()).href);
    assert.deepEqual(await other.locator('.alert .name').allInnerTexts(), shown);
    await other.goto(page.url());
    assert.deepEqual(await other.locator('.alert .name').allInnerTexts(), shown);
    await other.close();
    return 1;
  },
  async 'silence from a phone'(page, me) {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(base);
    await me.click('.alert:has-text("ReplicationLag") a.act');
    await me.fill('[name=creator]', 'nina');
    await me.click('button:has-text("Create")');
    await page.waitForURL(/silences\/[0-9a-f-]{36}/);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.equal(wide, false, 'the page is wider than the phone');
    await expire(base, page.url().match(/silences\/([0-9a-f-]{36})/)[1]);
    return 3;
  },
};

await test(async (t) => {
  for (const script of [true, false]) {
    for (const [name, task] of Object.entries(tasks)) {
      const page = await t.page({ script });
      const me = person(page);
      const steps = await task(page, me);
      assert.equal(me.steps(), steps, `steps of "${name}"`);
      console.log(`${me.steps()} steps ${script ? '' : 'without JavaScript '}to ${name}`);
      await t.close(page);
    }
  }
});
