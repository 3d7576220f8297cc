/** One GET to a port of this machine. */
import { get } from 'node:http';

const TIMEOUT_MS = 1_000;
const MOST = 4_096;

/** The body of a 200; rejects for all else. */
export const getLocal = (port: number, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const call = get({ host: '127.0.0.1', port, path, timeout: TIMEOUT_MS }, response => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk.slice(0, MOST - body.length);
      });
      response.on('error', reject);
      response.on('end', () =>
        response.statusCode === 200 ? resolve(body.trim()) : reject(new Error(`${response.statusCode}`)),
      );
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject);
  });
