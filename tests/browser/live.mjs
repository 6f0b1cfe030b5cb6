// An open page keeps up, and leaves alone what its reader is doing.
import { assert, eventually, given, test } from './driver.mjs';
import { expire, post, silence } from './seed.mjs';

const { base } = given;
const fresh = (name, more = {}) => [{ labels: { alertname: name, severity: 'warning', team: 'ops', cluster: 'x', ...more }, annotations: { summary: `${name} fires`, note: 'more' } }];

await test(async (t) => {
  const page = await t.page();
  await page.goto(`${base}/alerts`);
  await page.locator('.alert:has-text("QueueGrows") .pick').check();
  await page.locator('.alert:has-text("ReplicationLag") summary').click();
  await page.locator('#filter').focus();
  await page.keyboard.type('  ');
  const begun = Date.now();
  await post(base, fresh('JustNow'));
  await page.locator('.alert:has-text("JustNow")').first().waitFor({ timeout: 2_000 });
  console.log(`a new alert is on an open page after ${Date.now() - begun} ms`);
  assert.ok(await page.locator('.alert:has-text("QueueGrows") .pick').isChecked(), 'the tick stays');
  assert.ok(await page.locator('.alert:has-text("ReplicationLag") details').evaluate((one) => one.open), 'the details stay open');
  assert.equal(await page.locator('#filter').inputValue(), '  ', 'the typed text stays');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter', 'the focus stays');
  assert.match(await page.locator('#pick').innerText(), /1 selected/);
  const id = await silence(base, [['alertname', 'JustNow']], { comment: 'seen' });
  await eventually('it leaves when silenced', async () => (await page.locator('.alert:has-text("JustNow")').count()) === 0);
  await expire(base, id);

  // Typing filters at once; the address changes on Enter.
  await page.locator('#filter').fill('disk');
  await eventually('only disks are left', async () => {
    const names = await page.locator('.alert .name').allInnerTexts();
    return names.length > 0 && names.every((name) => name === 'DiskFull');
  });
  await page.keyboard.press('Enter');
  await page.waitForURL(/filter=disk/);
  await page.locator('.chosen a').click();
  await eventually('the filter is gone', async () => (await page.locator('.chosen').count()) === 0);
  await page.locator('#filter').fill('severity=~"(');
  await page.locator('#problem .mistake').waitFor();
  await page.locator('#filter').fill('');

  // Keys.
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  assert.equal(await page.locator('[data-at]').count(), 1);
  await page.keyboard.press('x');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.waitForURL(/silences$/);
  await t.close(page);

  // A half-filled form is left alone, whatever happens.
  const form = await t.page();
  await form.goto(`${base}/silences/new?filter=${encodeURIComponent('{alertname="DiskFull"}')}`);
  await form.locator('[name=comment]').fill('half a sent');
  await post(base, fresh('Another'));
  await form.locator('[name=value]').first().fill('QueueGrows');
  await form.locator('[name=creator]').focus();
  await eventually('the preview follows', async () => /QueueGrows/.test(await form.locator('#preview').innerText()));
  assert.equal(await form.locator('[name=comment]').inputValue(), 'half a sent');
  // Of start, length and end the others follow the one that was touched.
  await form.locator('[name=length]').fill('1 day');
  await form.locator('[name=creator]').focus();
  await eventually('the end follows', async () => {
    const end = new Date(`${await form.locator('[name=ends]').inputValue()}Z`);
    return Math.abs(end - Date.now() - 86.4e6) < 120_000;
  });
  await form.locator('[name=ends]').fill(new Date(Date.now() + 3 * 3.6e6).toISOString().slice(0, 16));
  await form.locator('[name=creator]').focus();
  await eventually('the length follows', async () => /^(2h5\dm|3h)/.test(await form.locator('[name=length]').inputValue()));
  // What is missing is said beside the field.
  await form.locator('[name=creator]').fill('');
  await form.locator('button:has-text("Create")').click();
  await eventually('the name is asked for', async () => (await form.locator('#w-creator').innerText()).includes('say who you are'));
  await form.locator('[name=creator]').fill('nina');
  await form.locator('button:has-text("Create")').click();
  await form.waitForURL(/silences\/[0-9a-f-]{36}/);
  const made = form.url().match(/silences\/([0-9a-f-]{36})/)[1];
  // An edit that moves only the end keeps the silence; its name is remembered.
  await form.locator('a:has-text("Edit")').click();
  await form.locator('button:has-text("4 h")').click();
  await eventually('it says what will happen', async () => /changed in place/.test(await form.locator('#preview').innerText()));
  await form.locator('button:has-text("Update")').click();
  await form.waitForURL(new RegExp(`silences/${made}\\?done=updated`));
  await form.locator('button:has-text("Extend by 1 h")').click();
  await form.waitForURL(/done=extended/);
  await form.goto(`${base}/silences/new`);
  assert.equal(await form.locator('[name=creator]').inputValue(), 'nina');
  await expire(base, made);
  // Several at once.
  await silence(base, [['bulk', 'one']], { comment: 'bulk one' });
  await silence(base, [['bulk', 'two']], { comment: 'bulk two' });
  await form.goto(`${base}/silences`);
  for (const name of ['bulk one', 'bulk two']) await form.locator(`.silence:has-text("${name}") .pick`).check();
  await form.locator('#bulk summary').click();
  await form.locator('#bulk button.danger').click();
  await form.waitForURL(/done=expired&count=2/);
  await t.close(form, /status of 400/);

  // Settings are kept, and are in effect before the first paint.
  const settings = await t.page();
  await settings.goto(`${base}/settings`);
  await settings.locator('[name=theme]').selectOption('dark');
  await settings.goto(`${base}/alerts`);
  assert.equal(await settings.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(15, 19, 24)');
  await t.close(settings);
});
