/** The chart as the real Helm renders it, and as the real kube-apiserver takes it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { V1ConfigMap, V1DaemonSet, V1ValidatingAdmissionPolicy } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import { variants } from '../../manifests/render.ts';
import { type ControlPlane, startControlPlane } from '../cluster/api.ts';
import { ensureBuilt } from '../cluster/build.ts';
import { clusterUnavailable } from '../cluster/packages.ts';

type Loaded = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};
type Output = { readonly code: number; readonly stdout: string; readonly stderr: string };

const CHART = join(import.meta.dirname, '../../manifests/helm/weft');
const run = promisify(execFile);

const CHOSEN = {
  config: { clusterCidrs: ['10.42.0.0/16'], healthAddress: '::1', healthPort: 9999, cniBinDir: '/opt/x' },
  image: { repository: 'registry.example/weft', tag: '9.9.9', pullPolicy: 'Always' },
  imagePullSecrets: [{ name: 'pull' }],
  wireguardGo: { enabled: true, env: [{ name: 'GOMEMLIMIT', value: '64MiB' }] },
  resources: { limits: { memory: '300Mi' } },
  nodeSelector: { edge: 'yes' },
  tolerations: [],
  podAnnotations: { team: 'net' },
};

describe('the Helm chart', { skip: clusterUnavailable(['helm', 'kubernetes']) ?? false }, () => {
  let helmProgram: string;
  let api: ControlPlane;
  let folder: string;

  const helm = async (...args: readonly string[]): Promise<Output> => {
    const env = { ...process.env, HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
    try {
      return { code: 0, ...(await run(helmProgram, args, { env, timeout: 60_000 })) };
    } catch (error) {
      const { code, stdout, stderr } = error as Output;
      return { code, stdout, stderr };
    }
  };

  const must = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await helm(...args);
    assert.equal(code, 0, `helm ${args.join(' ')}: ${stderr}`);
    return stdout;
  };

  const template = async (namespace: string, ...args: readonly string[]): Promise<readonly Loaded[]> => {
    const text = await must('template', 'weft', CHART, '-n', namespace, '--kube-version=1.36.0', ...args);
    return parseAllDocuments(text).flatMap(document => {
      assert.deepEqual(document.errors, []);
      return (document.toJS() as Loaded | null) ?? [];
    });
  };

  const find = <T>(objects: readonly Loaded[], kind: string, name = 'weft'): T => {
    const found = objects.find(o => o.kind === kind && o.metadata.name === name);
    assert.ok(found, `no ${kind} ${name}`);
    return found as T;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-helm-'));
    const [built = ''] = await ensureBuilt(['helm']);
    helmProgram = join(built, 'helm');
    api = await startControlPlane();
    writeFileSync(join(folder, 'chosen.json'), JSON.stringify(CHOSEN));
  });

  after(async () => {
    await api?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('helm lint finds nothing', async () => {
    await must('lint', '--strict', '--kube-version=1.36.0', CHART);
  });

  test('without choices it is weft-userspace.yaml, the namespace and the restart on a change apart', async () => {
    const made = await template('weft', '--set=wireguardGo.enabled=true');
    for (const { object } of variants['weft-userspace.yaml'] ?? []) {
      const wanted = structuredClone(object) as Loaded & V1DaemonSet;
      if (wanted.kind === 'Namespace') continue;
      const got = find<V1DaemonSet & V1ConfigMap>(made, wanted.kind, wanted.metadata.name);
      const pod = got.spec?.template;
      if (got.kind === 'DaemonSet') {
        assert.deepEqual(pod?.spec?.imagePullSecrets, []);
        delete pod?.spec?.imagePullSecrets;
        delete pod?.metadata?.annotations;
      }
      if (got.data) {
        const text = got.data['config.json'] ?? '';
        assert.deepEqual(JSON.parse(text), JSON.parse((wanted as V1ConfigMap).data?.['config.json'] ?? ''));
        delete got.data;
        delete (wanted as V1ConfigMap).data;
      }
      assert.deepEqual(got, wanted);
    }
    assert.equal(made.length, (variants['weft-userspace.yaml'] ?? []).length - 1);
  });

  test('wireguard-go only where it is asked for', async () => {
    const names = (await template('weft')).filter(o => o.kind === 'DaemonSet').map(o => o.metadata.name);
    assert.deepEqual(names, ['weft']);
  });

  test('every choice arrives', async () => {
    const made = await template('net', `--values=${join(folder, 'chosen.json')}`);
    for (const o of made)
      assert.notEqual(o.metadata.namespace, 'weft', `${o.kind} is in the wrong namespace`);
    const policy = find<V1ValidatingAdmissionPolicy>(made, 'ValidatingAdmissionPolicy', 'weft-own-node');
    assert.match(JSON.stringify(policy), /system:serviceaccount:net:weft'/);
    const config = find<V1ConfigMap>(made, 'ConfigMap', 'weft-config').data?.['config.json'] ?? '';
    assert.deepEqual(JSON.parse(config), CHOSEN.config);
    const { metadata, spec } = find<V1DaemonSet>(made, 'DaemonSet').spec?.template ?? {};
    const agent = spec?.containers[0];
    assert.equal(metadata?.annotations?.team, 'net');
    assert.match(metadata?.annotations?.['checksum/config'] ?? '', /^[0-9a-f]{64}$/);
    assert.equal(agent?.image, 'registry.example/weft:9.9.9');
    assert.equal(agent?.imagePullPolicy, 'Always');
    assert.deepEqual(agent?.resources?.limits, CHOSEN.resources.limits);
    for (const probe of [agent?.startupProbe, agent?.readinessProbe, agent?.livenessProbe])
      assert.deepEqual([probe?.httpGet?.host, probe?.httpGet?.port], ['::1', 9999]);
    assert.ok(agent?.volumeMounts?.some(m => m.name === 'cni-bin' && m.mountPath === '/opt/x'));
    assert.ok(spec?.volumes?.some(v => v.name === 'cni-bin' && v.hostPath?.path === '/opt/x'));
    assert.equal(spec?.nodeSelector?.edge, 'yes');
    assert.deepEqual(spec?.tolerations, []);
    assert.deepEqual(spec?.imagePullSecrets, CHOSEN.imagePullSecrets);
    const userspace = find<V1DaemonSet>(made, 'DaemonSet', 'weft-wireguard').spec?.template.spec;
    assert.deepEqual(userspace?.containers[0]?.env, CHOSEN.wireguardGo.env);
  });

  test('a wrong setting is refused by its name before anything is changed', async () => {
    const wrong = '--set=config.listenPort=99999,config.nosuch=1,imgae.tag=1';
    const { code, stderr } = await helm('template', CHART, '--kube-version=1.36.0', wrong);
    assert.notEqual(code, 0);
    for (const word of ['/config/listenPort', 'nosuch', 'imgae']) assert.ok(stderr.includes(word), stderr);
  });

  test('it installs, a changed setting changes the pods, and it uninstalls', async () => {
    const access = [`--kubeconfig=${api.kubeconfig}`, '-n', 'weft'];
    const agentOf = async (): Promise<V1DaemonSet> => {
      const { stdout, stderr } = await api.kubectl(['-n', 'weft', 'get', 'daemonset', 'weft', '-o', 'json']);
      assert.equal(stderr, '');
      return JSON.parse(stdout);
    };
    await must('install', 'weft', CHART, ...access, '--create-namespace');
    const first = await agentOf();
    await must('upgrade', 'weft', CHART, ...access);
    assert.equal((await agentOf()).metadata?.generation, first.metadata?.generation);
    await must('upgrade', 'weft', CHART, ...access, '--set=config.clusterCidrs={10.42.0.0/16}');
    assert.notDeepEqual(
      (await agentOf()).spec?.template.metadata?.annotations,
      first.spec?.template.metadata?.annotations,
    );
    await must('uninstall', 'weft', ...access);
    const left = await api.kubectl(['get', 'clusterrole', 'weft']);
    assert.match(left.stderr, /NotFound/);
  });
});
