/**
 * Round trips measured on the data path: small UDP datagrams between the gateway addresses,
 * inside the tunnel. Every agent echoes; the asker pairs answer and question by a nonce.
 */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROBE_PORT } from '../constants.ts';
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { decodeProbe, encodeProbe } from './probewire.ts';

/** An unanswered probe is lost after this, unless the asker says otherwise. */
const LOST_MS = 2_000;

export type Question = {
  /** How long there has been no answer from there; Infinity: never. */
  readonly unansweredMs?: number;
  /** Bytes of the UDP payload; the answer has as many, unless `oneWay`. */
  readonly size?: number;
  /** The way there alone is measured: the answer is short. */
  readonly oneWay?: boolean;
  /** Unanswered for so many milliseconds it is lost. */
  readonly lostMs?: number;
};

export type Probes = {
  /** Listens on exactly these addresses from now on. */
  readonly listen: (gateways: readonly Ip[]) => void;
  /** One question; resolves to the round trip in milliseconds, or undefined if lost. */
  readonly ask: (gateway: Ip, question?: Question) => Promise<number | undefined>;
  readonly close: () => void;
};

/** A question of somebody else, from whose address, and what it says of us. */
export type Heard = (from: string, unansweredMs: number | undefined) => void;

type Pending = { readonly from: Ip; readonly settle: (at: number) => void };

export function openProbes(now: () => number = () => performance.now(), onHeard: Heard = () => {}): Probes {
  const sockets = new Map<Ip, Socket>();
  const pending = new Map<bigint, Pending>();
  let counter = BigInt(Math.floor(Math.random() * 2 ** 40));

  const onMessage = (socket: Socket, message: Buffer, port: number, address: string): void => {
    const probe = decodeProbe(message);
    if (probe === undefined) return;
    if (probe.kind !== 'answer') {
      const size = probe.kind === 'path' ? 0 : probe.size;
      socket.send(
        encodeProbe({ ...probe, kind: 'answer', unansweredMs: undefined, size }),
        port,
        address,
        () => {},
      );
      if (probe.kind === 'question') onHeard(address, probe.unansweredMs);
      return;
    }
    const waiting = pending.get(probe.nonce);
    if (waiting?.from === address) waiting.settle(now());
  };

  const open = (ip: Ip): void => {
    const socket = createSocket(familyOf(ip) === 4 ? 'udp4' : 'udp6');
    // An address that is not there yet, or no longer: forgotten, and tried again at the next `listen`.
    socket.on('error', () => {
      sockets.delete(ip);
      socket.close();
    });
    socket.on('message', (message, from) => onMessage(socket, message, from.port, from.address));
    socket.bind(PROBE_PORT, ip);
    socket.unref();
    sockets.set(ip, socket);
  };

  const listen = (gateways: readonly Ip[]): void => {
    for (const [ip, socket] of sockets)
      if (!gateways.includes(ip)) {
        sockets.delete(ip);
        socket.close();
      }
    for (const ip of gateways) if (!sockets.has(ip)) open(ip);
  };

  const ask = (
    gateway: Ip,
    { unansweredMs, size = 0, oneWay, lostMs = LOST_MS }: Question = {},
  ): Promise<number | undefined> => {
    const socket = [...sockets].find(([ip]) => familyOf(ip) === familyOf(gateway))?.[1];
    if (socket === undefined) return sleep(lostMs, undefined, { ref: false });
    counter += 1n;
    const nonce = counter;
    const sent = now();
    return new Promise(resolve => {
      const settle = (rtt: number | undefined): void => {
        clearTimeout(timer);
        pending.delete(nonce);
        resolve(rtt);
      };
      const timer = setTimeout(() => settle(undefined), lostMs);
      timer.unref();
      pending.set(nonce, { from: gateway, settle: at => settle(at - sent) });
      const bytes = encodeProbe({ kind: oneWay ? 'path' : 'question', nonce, unansweredMs, size });
      // What the kernel refuses counts as lost when its time is up: a broken path is not asked in a tight loop.
      socket.send(bytes, PROBE_PORT, gateway, () => {});
    });
  };

  const close = (): void => listen([]);
  return { listen, ask, close };
}
