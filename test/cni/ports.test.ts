import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CniError } from '../../cni/errors.ts';
import {
  listedPorts,
  type PortMapping,
  parsePort,
  portAdds,
  portClash,
  portElements,
  portLines,
  portsTable,
} from '../../cni/ports.ts';
import type { Ip } from '../../types.ts';
import { golden } from '../golden.ts';
import { lease } from './leases.ts';

const GATEWAYS = ['10.42.1.1', 'fd42::1'] as Ip[];

const web: PortMapping = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };
const dns: PortMapping = { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIp: '192.0.2.1' as Ip };

test('mappings as runtimes write them', () => {
  assert.deepEqual(parsePort({ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }), web);
  assert.deepEqual(parsePort({ hostPort: 8080, containerPort: 80 }), web);
  assert.deepEqual(parsePort({ hostPort: 8080, containerPort: 80, protocol: 'TCP', hostIP: '0.0.0.0' }), web);
  assert.deepEqual(
    parsePort({ hostPort: 53, containerPort: 5353, protocol: 'UDP', hostIP: '192.0.2.1' }),
    dns,
  );
  assert.equal(parsePort({ containerPort: 80, protocol: 'tcp' }), undefined);
  // As containerd spells it.
  assert.deepEqual(parsePort({ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }), web);
});

test('whatever a mapping is, it is read, left out, or refused as a CNI error', () => {
  const field = fc.oneof(
    fc.anything(),
    fc.integer({ min: -1, max: 70_000 }),
    fc.ipV4(),
    fc.constantFrom('tcp', 'SCTP'),
  );
  const mapping = fc.oneof(
    fc.anything(),
    fc.record(
      { hostPort: field, containerPort: field, protocol: field, hostIP: field },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(mapping, value => {
      try {
        const port = parsePort(value);
        assert.ok(port === undefined || (port.hostPort > 0 && port.containerPort < 65_536));
      } catch (error) {
        assert.ok(error instanceof CniError, String(error));
        assert.equal(error.code, 7);
      }
    }),
  );
});

test('the same port clashes unless address or protocol keep it apart', () => {
  const holder = { ...lease(2), ports: [web, dns] };
  const clash = (port: PortMapping) => portClash([port], [lease(1), holder])?.with.containerId;
  assert.equal(clash(web), 'c2');
  assert.equal(clash({ ...web, hostIp: '192.0.2.1' as Ip }), 'c2');
  assert.equal(clash({ ...web, protocol: 'sctp' }), undefined);
  assert.equal(clash({ ...web, hostPort: 8081 }), undefined);
  assert.equal(clash({ ...dns, hostIp: '192.0.2.2' as Ip }), undefined);
  assert.equal(clash({ ...dns, hostIp: undefined as never }), 'c2');
});

test('a mapping is in the maps of the families that it and the pod have', () => {
  const sets = (ports: PortMapping[], ips: readonly Ip[]) =>
    portElements({ ips, ports }, 'add').map(e => e.set);
  const { ips } = lease(2);
  assert.deepEqual(sets([web], ips), ['any4', 'any6', 'self4', 'self6']);
  assert.deepEqual(sets([dns], ips), ['own4', 'self4']);
  assert.deepEqual(sets([dns], ips.slice(1)), []);
  assert.deepEqual(sets([], ips), []);
});

test('keys and values as bytes', () => {
  const [any] = portElements({ ips: ['10.42.1.2' as Ip], ports: [web] }, 'add');
  assert.equal(any?.key.toString('hex'), '060000001f900000');
  assert.equal(any?.data?.toString('hex'), '0a2a010200500000');
  const [own] = portElements({ ips: ['10.42.1.2' as Ip], ports: [dns] }, 'add');
  assert.equal(own?.key.toString('hex'), 'c00002011100000000350000');
});

test('the table, and what is put into it', () => {
  const leases = [
    { ...lease(2), ports: [web, dns] },
    { ...lease(3), ports: [{ ...web, hostPort: 9, protocol: 'sctp' as const }] },
  ];
  golden(`${import.meta.dirname}/golden/ports.nft`, portsTable(GATEWAYS) + portAdds(leases));
});

test('a listing is read back as it was meant', () => {
  const lines = portLines({ ips: lease(2).ips, ports: [web, { ...web, hostPort: 81 }, dns] });
  const sets = [...Map.groupBy(lines, line => line.split(' ')[0] ?? '')].map(([set, own]) => {
    const elements = own.map(line => line.slice(set.length + 1)).join(',\n\t\t\t     ');
    return `\t${set.startsWith('self') ? 'set' : 'map'} ${set} {\n\t\ttype whatever . it : is\n\t\telements = { ${elements} }\n\t}\n`;
  });
  const listing = `table inet weft-ports {\n${sets.join('\n')}\n\tmap empty {\n\t\ttype x\n\t}\n\n\tchain c {\n\t\tx\n\t}\n}\n`;
  assert.deepEqual([...listedPorts(listing)].sort(), [...lines].sort());
  assert.deepEqual(listedPorts(''), []);
});
