/** An agent that misbehaves as told, at the socket where the binary looks for the real one. */
import assert from 'node:assert/strict';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { type Frame, splitFrames } from '../../cni/wire.ts';
import { CNI_SOCKET } from '../../constants.ts';

export type Ask = (frame: Buffer, answer?: string) => Promise<Buffer>;

/** An agent that does with each call what `serve` says. */
async function falseAgent(
  serve: (ask: Ask, socket: Socket, hello: Buffer) => Promise<void>,
): Promise<Server> {
  rmSync(CNI_SOCKET, { force: true });
  const server = createServer(socket => {
    let rest: Buffer = Buffer.alloc(0);
    const seen: Frame[] = [];
    let wake = (): void => {};
    socket.on('error', () => {});
    socket.on('data', chunk => {
      const split = splitFrames(Buffer.concat([rest, chunk]));
      assert.ok(split.ok);
      rest = split.value.rest;
      seen.push(...split.value.frames);
      wake();
    });
    const next = async (type: string): Promise<Buffer> => {
      for (;;) {
        const at = seen.findIndex(frame => frame.type === type);
        if (at >= 0) return seen.splice(at, 1)[0]?.payload as Buffer;
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      }
    };
    const ask: Ask = (frame, answer = '') => {
      socket.write(frame);
      return answer === '' ? Promise.resolve(Buffer.alloc(0)) : next(answer);
    };
    void next('H').then(hello => serve(ask, socket, hello));
  });
  await new Promise<void>(resolve => server.listen(CNI_SOCKET, resolve));
  chmodSync(CNI_SOCKET, 0o600);
  return server;
}

/** `work` while such an agent listens. */
export async function withAgent<T>(
  serve: Parameters<typeof falseAgent>[0],
  work: () => Promise<T>,
): Promise<T> {
  const server = await falseAgent(serve);
  try {
    return await work();
  } finally {
    await new Promise(resolve => server.close(resolve));
  }
}
