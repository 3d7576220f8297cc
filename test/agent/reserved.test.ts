import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reservedPorts } from '../../agent/reserved.ts';
import { reservedPort } from '../../cni/ports.ts';

const asked = (hostPort: number, protocol: 'tcp' | 'udp' | 'sctp') => [
  { hostPort, containerPort: 80, protocol },
];

test('the tunnel, its probes and the health port are no pod’s', () => {
  const reserved = reservedPorts({ listenPort: 51900, healthPort: 9807 }, undefined);
  for (const [port, protocol] of [
    [51900, 'udp'],
    [51821, 'udp'],
    [9807, 'tcp'],
  ] as const)
    assert.equal(reservedPort(asked(port, protocol), reserved)?.port, port);
  for (const [port, protocol] of [
    [51900, 'tcp'],
    [9807, 'udp'],
    [51820, 'udp'],
    [80, 'tcp'],
  ] as const)
    assert.equal(reservedPort(asked(port, protocol), reserved), undefined);
});

test('while the device still listens on the port of before, both are reserved', () => {
  const reserved = reservedPorts({ listenPort: 51900, healthPort: 9807 }, 51820);
  assert.ok(reservedPort(asked(51820, 'udp'), reserved));
  assert.ok(reservedPort(asked(51900, 'udp'), reserved));
});
