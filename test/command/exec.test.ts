/** Exec against a server that is slow to agree: what comes too late must not keep the program alive. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { openExec } from '../../command/exec.ts';
import { findAccess } from '../../discovery/kubeconfig.ts';
import { kubeconfigFor } from './kubeconfig.ts';

const ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const LATE_MS = 400;

test('a connection that comes after the time is up is closed again', async t => {
  const server = createServer();
  t.after(() => server.close());
  const connected = new Promise<Socket>(resolve => {
    server.on('upgrade', (request, socket) => {
      const key = createHash('sha1')
        .update(`${request.headers['sec-websocket-key']}${ACCEPT}`)
        .digest('base64');
      const protocol = String(request.headers['sec-websocket-protocol']).split(',')[0];
      const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
      const rest = [`Sec-WebSocket-Accept: ${key}`, `Sec-WebSocket-Protocol: ${protocol}`, '', ''];
      setTimeout(() => {
        socket.write([...head, ...rest].join('\r\n'));
        resolve(socket as Socket);
      }, LATE_MS);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const access = await findAccess({ kubeconfig: kubeconfigFor(t, `http://127.0.0.1:${port}`) }, {});
  const run = openExec(access, 'weft');
  await assert.rejects(run('weft-x', ['weft', 'get', '/status'], 50), /pod weft-x: no answer within 0\.05 s/);
  const socket = await connected;
  // A close frame, masked as every client's: 0x88.
  const [frame] = (await once(socket, 'data')) as [Buffer];
  assert.equal(frame[0], 0x88);
  socket.destroy();
});
