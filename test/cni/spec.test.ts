/** The protocol's lines of the checklist in reference/conformance terms, without a process: order and codes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CniError, CODES, errorJson } from '../../cni/errors.ts';
import { answerVersion, parseRequest, VERSIONS } from '../../cni/spec.ts';
import { hello, request } from './hello.ts';

const refusal = (...args: Parameters<typeof hello>): CniError => {
  try {
    request(...args);
  } catch (error) {
    assert.ok(error instanceof CniError, String(error));
    return error;
  }
  return assert.fail('it was accepted');
};

const codeOf = (...args: Parameters<typeof hello>): number => refusal(...args).code;

test('a sound ADD, whole', () => {
  const got = request(
    {
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart;K8S_POD_UID=u-1;IP=10.42.1.9/24',
    },
    { runtimeConfig: { ips: ['fd42::9/64'] }, someFutureKey: { a: 1 } },
  );
  assert.deepEqual(got, {
    command: 'ADD',
    version: '1.1.0',
    network: 'weft',
    containerId: 'c1',
    ifname: 'eth0',
    netns: '/proc/1/ns/net',
    pod: { namespace: 'shop', name: 'cart', uid: 'u-1' },
    requested: ['10.42.1.9', 'fd42::9'],
    mac: undefined,
    ports: [],
    limits: undefined,
    dns: {},
    prevResult: undefined,
    valid: undefined,
  });
});

test('VERSION needs nothing but its name', () => {
  const version = parseRequest({
    env: new Map([['CNI_COMMAND', 'VERSION']]),
    stdin: Buffer.alloc(0),
    stdinUnreadable: false,
    knowsParts: true,
  });
  assert.equal(version.command, 'VERSION');
});

test('an unknown or absent command is 4', () => {
  for (const CNI_COMMAND of ['UPDATE', 'add', '', undefined]) {
    const error = refusal({ CNI_COMMAND });
    assert.equal(error.code, 4);
    assert.match(error.details, /ADD, DEL, CHECK, GC, STATUS, VERSION/);
  }
});

test('missing variables are 4, and all are named', () => {
  const none = {
    CNI_CONTAINERID: undefined,
    CNI_NETNS: undefined,
    CNI_IFNAME: undefined,
    CNI_PATH: undefined,
  };
  const named = (CNI_COMMAND: string) => refusal({ ...none, CNI_COMMAND }).message.match(/CNI_\w+/g) ?? [];
  const all = ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'];
  assert.deepEqual(named('ADD'), all);
  assert.deepEqual(named('CHECK'), all);
  assert.deepEqual(named('DEL'), ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH']);
  assert.deepEqual(named('GC'), ['CNI_PATH']);
  assert.deepEqual(named('STATUS'), ['CNI_PATH']);
  for (const name of all) assert.match(refusal({ [name]: '' }).message, new RegExp(`\\[${name}\\]`));
});

test('DEL goes without a namespace', () => {
  assert.equal(request({ CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns, '');
  assert.equal(request({ CNI_COMMAND: 'DEL', CNI_NETNS: undefined }).netns, '');
});

test('container ids and interface names of other shapes are 4', () => {
  for (const CNI_CONTAINERID of ['a/b', '../x', '.hidden', 'a b', 'a:b', 'ü'])
    assert.equal(codeOf({ CNI_CONTAINERID }), 4, CNI_CONTAINERID);
  for (const CNI_IFNAME of ['a234567890123456', '.', '..', 'a/b', 'a:b', 'a b', 'a\tb'])
    assert.equal(codeOf({ CNI_IFNAME }), 4, CNI_IFNAME);
  assert.equal(request({ CNI_IFNAME: 'a23456789012345' }).ifname.length, 15);
  for (const CNI_IFNAME of ['eth%d', 'ü'.repeat(8)]) assert.equal(codeOf({ CNI_IFNAME }), 4, CNI_IFNAME);
});

test('an id that is too long for a file name is 4 on ADD; nothing is there for DEL', () => {
  const CNI_CONTAINERID = 'a'.repeat(201);
  assert.match(refusal({ CNI_CONTAINERID }).message, /201 characters is longer than 200/);
  assert.equal(request({ CNI_CONTAINERID: 'a'.repeat(200) }).containerId.length, 200);
  assert.equal(request({ CNI_CONTAINERID, CNI_COMMAND: 'DEL' }).containerId, CNI_CONTAINERID);
});

test('stdin: unreadable is 5, no JSON or no object is 6', () => {
  assert.throws(() => parseRequest({ ...hello(), stdinUnreadable: true }), { code: 5 });
  for (const text of ['', 'not json', '{', '[]', '"text"', 'null', '1'])
    assert.equal(codeOf({}, text), 6, text);
});

test('the network name: absent or of another shape is 7', () => {
  for (const name of [undefined, '', 7, null, 'a/b', '.a', 'a b'])
    assert.equal(codeOf({}, { name }), 7, String(name));
});

test('every version we list is taken, another is 1 and says which there are', () => {
  for (const cniVersion of VERSIONS) assert.equal(request({}, { cniVersion }).version, cniVersion);
  for (const cniVersion of ['9.9.9', '0.1.0', '0.2.0', '1.0', 'one', '1.1.0 ', '']) {
    const error = refusal({}, { cniVersion });
    assert.equal(error.code, 1, cniVersion);
    for (const known of VERSIONS) assert.ok(error.details.includes(known));
  }
  assert.equal(codeOf({}, { cniVersion: undefined }), 1);
  assert.equal(codeOf({}, { cniVersion: 1 }), 6);
});

test('a version that is none is 1 on ADD and DEL, 6 on CHECK, GC and STATUS', () => {
  for (const [CNI_COMMAND, code] of Object.entries({ ADD: 1, DEL: 1, CHECK: 6, GC: 6, STATUS: 6 }))
    assert.equal(codeOf({ CNI_COMMAND }, { cniVersion: 'one' }), code, CNI_COMMAND);
});

test('CHECK before 0.4.0, GC and STATUS before 1.1.0 are 1', () => {
  const old = { CHECK: ['0.3.0', '0.3.1'], GC: ['0.4.0', '1.0.0'], STATUS: ['0.4.0', '1.0.0'] };
  for (const [CNI_COMMAND, versions] of Object.entries(old))
    for (const cniVersion of versions) assert.equal(codeOf({ CNI_COMMAND }, { cniVersion }), 1);
  assert.equal(request({ CNI_COMMAND: 'CHECK' }, { cniVersion: '0.4.0' }).version, '0.4.0');
});

test('of several faults the first in the order environment, stdin, configuration, version is told', () => {
  const faults: readonly [number, () => unknown][] = [
    [4, () => request({ CNI_PATH: undefined }, 'no json')],
    [4, () => parseRequest({ ...hello({ CNI_PATH: undefined }), stdinUnreadable: true })],
    [5, () => parseRequest({ ...hello({}, 'no json'), stdinUnreadable: true })],
    [6, () => request({}, 'no json')],
    [7, () => request({}, { name: '', cniVersion: '9.9.9' })],
    [1, () => request({}, { cniVersion: '9.9.9', runtimeConfig: { ips: ['none'] } })],
    [7, () => request({}, { runtimeConfig: { ips: ['none'] } })],
  ];
  for (const [code, work] of faults) assert.throws(work, { code });
});

test('addresses asked for: each way, both families, and a word for what is none', () => {
  const asked = (CNI_ARGS: string, conf = {}) => request({ CNI_ARGS }, conf).requested;
  assert.deepEqual(asked('IP=10.42.1.5,fd42::5'), ['10.42.1.5', 'fd42::5']);
  assert.deepEqual(asked('', { args: { cni: { ips: ['10.42.1.6/32'] } } }), ['10.42.1.6']);
  assert.deepEqual(asked('', { runtimeConfig: { ips: ['10.42.1.7'] } }), ['10.42.1.7']);
  assert.match(refusal({ CNI_ARGS: 'IP=10.42.1.999' }).message, /"10.42.1.999"/);
  assert.deepEqual(request({ CNI_COMMAND: 'DEL', CNI_ARGS: 'IP=10.42.1.999' }).requested, []);
});

test('what is asked for in a wrong shape is 7 on ADD, and hinders no DEL', () => {
  const odd: readonly object[] = [
    { runtimeConfig: 'x' },
    { runtimeConfig: [] },
    { runtimeConfig: { ips: '10.42.1.7' } },
    { runtimeConfig: { ips: [7] } },
    { runtimeConfig: { portMappings: {} } },
    { runtimeConfig: { bandwidth: 'x' } },
    { runtimeConfig: { mac: {} } },
    { args: { cni: { ips: { a: 1 } } } },
  ];
  for (const conf of odd) {
    assert.equal(codeOf({}, conf), 7, JSON.stringify(conf));
    for (const CNI_COMMAND of ['DEL', 'CHECK', 'GC', 'STATUS'])
      assert.deepEqual(request({ CNI_COMMAND }, conf).requested, []);
  }
  for (const conf of [{ args: 'x' }, { args: { cni: 7 } }, { runtimeConfig: null }, { dns: 'x' }])
    assert.deepEqual(request({}, conf).requested, []);
  assert.equal(request({}, { 'cni.dev/valid-attachments': 7 }).valid, undefined);
});

test('DNS is taken from the configuration, without what is odd in it', () => {
  const dns = { nameservers: ['192.0.2.53'], domain: 'shop', search: [1], options: 'ndots:5', extra: 1 };
  assert.deepEqual(request({}, { dns }).dns, { nameservers: ['192.0.2.53'], domain: 'shop' });
});

test('prevResult: addresses and routes are read, what is odd in it is left aside', () => {
  const prevResult = {
    ips: [{ address: '10.42.1.5/32' }, { address: 7 }, null, { address: 'odd/1' }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.42.1.1' }, { dst: 'odd' }, {}],
  };
  const got = request({ CNI_COMMAND: 'CHECK' }, { prevResult }).prevResult;
  assert.deepEqual(got, { ips: ['10.42.1.5'], routes: ['0.0.0.0/0'], raw: prevResult });
  assert.equal(request({}, { prevResult: 'none' }).prevResult, undefined);
});

test('GC: a list by either key, and none where there is no key', () => {
  const list = [{ containerID: 'a', ifname: 'eth0' }];
  const valid = (conf: object) => request({ CNI_COMMAND: 'GC' }, conf).valid;
  assert.deepEqual(valid({ 'cni.dev/valid-attachments': list }), [{ containerId: 'a', ifname: 'eth0' }]);
  assert.deepEqual(valid({ 'cni.dev/attachments': [] }), []);
  assert.equal(valid({}), undefined);
  for (const odd of ['odd', {}, [{ containerID: 7, ifname: 'eth0' }], ['c1'], [null]])
    assert.equal(codeOf({ CNI_COMMAND: 'GC' }, { 'cni.dev/valid-attachments': odd }), 7);
});

test('an error is JSON in the version of the request', () => {
  const conf = (cniVersion: unknown) => Buffer.from(JSON.stringify({ cniVersion }));
  assert.equal(answerVersion(conf('0.4.0')), '0.4.0');
  for (const stdin of [conf(7), conf(''), Buffer.from('{'), Buffer.alloc(0)])
    assert.equal(answerVersion(stdin), '1.1.0');
  assert.deepEqual(JSON.parse(errorJson('0.4.0', new CniError(CODES.io, 'a "b"', 'c\nd'))), {
    cniVersion: '0.4.0',
    code: 5,
    msg: 'a "b"',
    details: 'c\nd',
  });
});

test('nothing on stdin or in the environment makes it throw anything but a CniError', () => {
  const value = fc.option(fc.string({ maxLength: 20 }), { nil: undefined });
  const env = fc.record({
    CNI_COMMAND: fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'X'),
    CNI_CONTAINERID: value,
    CNI_IFNAME: value,
    CNI_ARGS: value,
  });
  const conf = fc.oneof(
    fc.string(),
    fc.record({
      cniVersion: fc.constantFrom('1.1.0', '0.4.0', 'x'),
      name: fc.constantFrom('weft', ''),
      prevResult: fc.jsonValue(),
      runtimeConfig: fc.jsonValue(),
      args: fc.jsonValue(),
      'cni.dev/valid-attachments': fc.jsonValue(),
    }),
  );
  let accepted = 0;
  fc.assert(
    fc.property(env, conf, (e, c) => {
      try {
        request(e, c);
        accepted += 1;
      } catch (error) {
        assert.ok(error instanceof CniError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
  assert.ok(accepted > 0);
});

test('a MAC is taken from the runtime before the configuration before the environment', () => {
  const env = { CNI_ARGS: 'MAC=02:00:00:00:00:01' };
  const inline = { args: { cni: { mac: '02-00-00-00-00-02' } } };
  assert.equal(request(env, {}).mac, '02:00:00:00:00:01');
  assert.equal(request(env, inline).mac, '02:00:00:00:00:02');
  assert.equal(
    request(env, { ...inline, runtimeConfig: { mac: 'C2:00:00:00:00:AA' } }).mac,
    'c2:00:00:00:00:aa',
  );
});

test('a MAC that no pod can have is refused', () => {
  for (const mac of [
    'x',
    '02:00',
    '01:00:5e:00:00:01',
    'ff:ff:ff:ff:ff:ff',
    '00:00:00:00:00:00',
    '02:77:65:66:74:00',
    5,
  ])
    assert.throws(
      () => request({}, { runtimeConfig: { mac } }),
      (error: unknown) => error instanceof CniError && error.code === 7,
    );
});
