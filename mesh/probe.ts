/**
 * Round trips measured on the data path: small UDP datagrams between the gateway addresses,
 * inside the tunnel. Every agent echoes; the asker pairs answer and question by a nonce.
 */
import { createSocket, type Socket } from 'node:dgram';
import { PROBE_PORT } from '../constants.ts';
import { familyOf } from '../ip.ts';
import type { Ip } from '../types.ts';
import { decodeProbe, encodeProbe } from './probewire.ts';

/** An unanswered probe is lost after this. */
const LOST_MS = 2_000;

export type ProbeResult = { readonly at: number; readonly rttMs: number };

export type Probes = {
  /** Listens on exactly these addresses from now on. */
  readonly listen: (gateways: readonly Ip[]) => void;
  /** One question; resolves to the round trip in milliseconds, or undefined if lost. */
  readonly ask: (gateway: Ip) => Promise<number | undefined>;
  readonly close: () => void;
};

type Pending = (at: number) => void;

export function openProbes(now: () => number = () => performance.now()): Probes {
  const sockets = new Map<Ip, Socket>();
  const pending = new Map<bigint, Pending>();
  let counter = BigInt(Math.floor(Math.random() * 2 ** 40));

  const onMessage = (socket: Socket, message: Buffer, port: number, address: string): void => {
    const probe = decodeProbe(message);
    if (probe === undefined) return;
    if (probe.kind === 'question') socket.send(encodeProbe('answer', probe.nonce), port, address, () => {});
    else pending.get(probe.nonce)?.(now());
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

  const ask = (gateway: Ip): Promise<number | undefined> => {
    const socket = [...sockets].find(([ip]) => familyOf(ip) === familyOf(gateway))?.[1];
    if (socket === undefined) return Promise.resolve(undefined);
    counter += 1n;
    const nonce = counter;
    const sent = now();
    return new Promise(resolve => {
      const settle = (rtt: number | undefined): void => {
        clearTimeout(timer);
        pending.delete(nonce);
        resolve(rtt);
      };
      const timer = setTimeout(() => settle(undefined), LOST_MS);
      timer.unref();
      pending.set(nonce, at => settle(at - sent));
      socket.send(encodeProbe('question', nonce), PROBE_PORT, gateway, error => {
        if (error) settle(undefined);
      });
    });
  };

  const close = (): void => listen([]);
  return { listen, ask, close };
}
