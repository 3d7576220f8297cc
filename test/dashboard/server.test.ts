import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { type Dashboard, serveDashboard } from '../../dashboard/server.ts';
import { sample } from './sample.ts';

describe('the dashboard’s server', () => {
  let dashboard: Dashboard;
  let broken = false;

  before(async () => {
    dashboard = await serveDashboard(async () => {
      if (broken) throw new Error('the API server cannot be reached');
      return sample(2, ['a']);
    }, 0);
  });
  after(() => dashboard.close());

  const get = (path: string, headers = {}, method = 'GET') =>
    new Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }>(
      (resolve, reject) => {
        const sent = request(new URL(path, dashboard.url), { headers, method }, response => {
          response.setEncoding('utf8');
          let body = '';
          response.on('data', chunk => {
            body += chunk;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
          );
        });
        sent.on('error', reject);
        sent.end();
      },
    );

  test('listens on loopback only', () => assert.match(dashboard.url, /^http:\/\/127\.0\.0\.1:\d+\/$/));

  test('a name that somebody points at loopback gets nothing', async () => {
    const { status, body } = await get('/', { host: 'evil.example' });
    assert.deepEqual([status, body], [403, 'only by localhost, 127.0.0.1 or [::1]\n']);
    assert.equal((await get('/', { host: 'localhost:1234' })).status, 200);
  });

  test('only reads, and only what there is', async () => {
    assert.equal((await get('/', {}, 'POST')).status, 405);
    assert.equal((await get('/nothing')).status, 404);
  });

  test('lets the browser load nothing from elsewhere', async () => {
    const { headers } = await get('/');
    assert.match(String(headers['content-security-policy']), /^default-src 'none'/);
  });

  test('an error is said as it is', async () => {
    broken = true;
    const { status, body } = await get('/content');
    broken = false;
    assert.deepEqual([status, body], [500, 'the API server cannot be reached\n']);
  });
});
