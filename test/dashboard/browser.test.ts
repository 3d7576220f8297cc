/** The page in a real browser: what is seen, by keyboard too, light and dark, while things change. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Browser, launch, type Page } from 'puppeteer-core';
import { type Dashboard, serveDashboard } from '../../dashboard/server.ts';
import type { Report } from '../../dashboard/types.ts';
import { until } from '../lab/wait.ts';
import { nodeName, sample } from './sample.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path =>
  existsSync(path),
);

/** Where people find the pictures that the test took. */
const PICTURES = join(import.meta.dirname, '../../dist/dashboard');

const TROUBLES = {
  '1→2': { state: 'failed', reason: 'node02 publishes no endpoint that can be tried' },
  '2→3': { state: 'retrying', reason: 'no answer from 203.0.113.3:51820 for 40 s' },
} as const;

const ACTIVE = 'document.activeElement.id || document.activeElement.getAttribute("href")';

describe('the dashboard in a browser', { skip: CHROMIUM ? false : 'Chromium is not installed' }, () => {
  let browser: Browser;
  let dashboard: Dashboard;
  let page: Page;
  let reports: readonly Report[] = sample(3, ['home', 'cloud']);
  let failure: Error | undefined;
  const faults: string[] = [];
  const foreign: string[] = [];

  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    dashboard = await serveDashboard(async () => {
      if (failure !== undefined) throw failure;
      return reports;
    }, 0);
    // As root it must run without its sandbox; it loads nothing but our own page.
    const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
    browser = await launch({ executablePath: CHROMIUM as string, args });
    page = await browser.newPage();
    page.on('pageerror', error => faults.push(String(error)));
    page.on('console', message => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('request', request => {
      if (!request.url().startsWith(dashboard.url) && !request.url().startsWith('data:'))
        foreign.push(request.url());
    });
    await page.setViewport({ width: 1280, height: 1600 });
    await page.goto(dashboard.url);
  });

  after(async () => {
    await browser?.close();
    await dashboard?.close();
  });

  const text = (selector: string): Promise<string> =>
    page.$eval(selector, element => element.textContent ?? '').catch(() => '');
  const picture = (name: string) =>
    page.screenshot({ path: join(PICTURES, `${name}.png`) as `${string}.png` });
  const style = (selector: string, property: string): Promise<unknown> =>
    page.evaluate(`getComputedStyle(document.querySelector('${selector}')).${property}`);
  const background = (): Promise<unknown> => style('body', 'backgroundColor');
  const focus = (node: string): Promise<unknown> =>
    page.evaluate(`document.getElementById('mark-${node}').focus()`);

  test('three nodes and three tunnels are seen, and that all is well', async () => {
    assert.match(await text('#summary'), /3 nodes, 3 tunnels\. All well/);
    assert.equal((await page.$$('.mesh .node')).length, 3);
    assert.equal((await page.$$('.mesh > svg > .link.established')).length, 3);
    assert.deepEqual((await text('#t-nodes')).trim(), 'Nodes');
    await picture('three');
  });

  test('a node is chosen by keyboard, and its peers are listed', async () => {
    await focus(nodeName(2));
    await page.keyboard.press('Enter');
    await until('the peers of node02', async () => (await text('#t-peers')).includes('node02') || undefined);
    assert.match(page.url(), /\?node=node02$/);
    assert.equal(await page.evaluate('document.activeElement.id'), 'mark-node02');
    assert.equal(await page.$eval('#mark-node02', a => a.getAttribute('aria-current')), 'true');
    await page.goBack();
    await until('all nodes again', async () => (await page.$('#t-peers')) === null || undefined);
  });

  test('every control can be reached by Tab alone', async () => {
    await page.evaluate('document.activeElement.blur()');
    const seen = new Set<string>();
    for (let n = 0; n < 20; n += 1) {
      await page.keyboard.press('Tab');
      seen.add(String(await page.evaluate(ACTIVE)));
    }
    for (const wanted of ['theme', 'mark-node01', 'mark-node02', 'mark-node03', '?node=node01'])
      assert.ok(seen.has(wanted), `${wanted} is not reached: ${[...seen].join(', ')}`);
  });

  test('trouble appears by itself, with its reason, without losing the focus, and is said aloud', async () => {
    await focus(nodeName(1));
    reports = sample(3, ['home', 'cloud'], TROUBLES);
    await until(
      'the trouble',
      async () => (await text('.problems')).includes('publishes no endpoint') || undefined,
    );
    assert.equal((await page.$$('.mesh > svg > .link.failed')).length, 1);
    assert.equal((await page.$$('.mesh > svg > .link.retrying')).length, 1);
    assert.equal(await page.evaluate('document.activeElement.id'), 'mark-node01');
    assert.match(await text('#said'), /2 tunnels not established/);
    const dashes = await style('.mesh .link.failed', 'strokeDasharray');
    assert.notEqual(dashes, 'none', 'a failed tunnel must differ by more than its colour');
    await picture('three-troubled');
  });

  test('dark and light: by the system’s wish, and by the button', async () => {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    assert.equal(await background(), 'rgb(255, 255, 255)');
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    assert.equal(await background(), 'rgb(13, 17, 23)');
    await picture('three-dark');
    await page.click('#theme');
    assert.equal(await background(), 'rgb(255, 255, 255)');
    await page.click('#theme');
    assert.equal(await background(), 'rgb(13, 17, 23)');
    await page.emulateMediaFeatures([]);
  });

  test('a hundred nodes in four locations', async () => {
    reports = sample(100, ['fra', 'nyc', 'sgp', undefined], TROUBLES);
    await page.goto(dashboard.url);
    assert.match(await text('#summary'), /100 nodes, 4950 tunnels\. 2 tunnels not established/);
    assert.equal((await page.$$('.mesh .node')).length, 100);
    assert.equal((await page.$$('.mesh .place')).length, 4);
    assert.equal((await page.$$('.mesh > svg > .link')).length, 4950);
    await picture('hundred');
  });

  test('on a telephone nothing but tables scrolls sideways', async () => {
    await page.setViewport({ width: 360, height: 800 });
    assert.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'));
    await picture('narrow');
    await page.setViewport({ width: 1280, height: 1600 });
  });

  test('it worked offline: nothing was asked of anybody else, and nothing went wrong', () => {
    assert.deepEqual(foreign, []);
    assert.deepEqual(faults, []);
  });

  test('it says why nobody can be asked, and goes on when they can', async () => {
    failure = new Error('connect ECONNREFUSED 192.0.2.1:6443');
    await until('the reason', async () => (await text('#stale')).includes('ECONNREFUSED') || undefined);
    assert.match(await text('#summary'), /100 nodes/);
    failure = undefined;
    await until(
      'its end',
      async () => (await page.$eval('#stale', e => e.hasAttribute('hidden'))) || undefined,
    );
  });

  test('it says so when its server is gone', async () => {
    await dashboard.close();
    await until('the notice', async () => (await text('#stale')).includes('does not answer') || undefined);
    assert.match(await text('#summary'), /100 nodes/);
  });
});
