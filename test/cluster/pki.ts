import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './process.ts';

/** A certificate to make. `names` are its subject alternative names in openssl's form: `DNS:x`, `IP:10.0.0.1`. */
export type CertificateSpec = {
  readonly file: string;
  readonly commonName: string;
  readonly organization?: string;
  readonly names?: readonly string[];
};

/** One API server to speak to, and as whom. `server` is a URL. */
export type Access = { readonly server: string; readonly folder: string; readonly user: string };

const NEW_KEY = [
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:prime256v1',
  '-nodes',
  '-days',
  '30',
] as const;

const openssl = (args: readonly string[], folder: string): Promise<string> =>
  must(['openssl', ...args], { cwd: folder, timeoutMs: 30_000 });

const authority = async (folder: string): Promise<void> => {
  const subject = ['-subj', '/CN=weft-test-cluster'];
  await openssl(['req', '-x509', ...NEW_KEY, ...subject, '-keyout', 'ca.key', '-out', 'ca.crt'], folder);
};

const certificate = async (folder: string, spec: CertificateSpec): Promise<void> => {
  const subject = `${spec.organization ? `/O=${spec.organization}` : ''}/CN=${spec.commonName}`;
  const alternatives = spec.names ? ['-addext', `subjectAltName=${spec.names.join(',')}`] : [];
  const issuer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', subject, ...alternatives];
  const usage = [
    '-addext',
    'basicConstraints=critical,CA:FALSE',
    '-addext',
    'extendedKeyUsage=clientAuth,serverAuth',
  ];
  const out = ['-keyout', `${spec.file}.key`, '-out', `${spec.file}.crt`];
  await openssl(['req', '-x509', ...NEW_KEY, ...issuer, ...usage, ...out], folder);
};

/**
 * Makes `ca`, the key of the service accounts (`sa.key`, `sa.pub`) and the certificates given, as FILE.crt
 * and FILE.key in `folder`. They last 30 days.
 */
export const makePki = async (folder: string, specs: readonly CertificateSpec[]): Promise<void> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await authority(folder);
  await openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'sa.key'], folder);
  await openssl(['ec', '-in', 'sa.key', '-pubout', '-out', 'sa.pub'], folder);
  await Promise.all(specs.map(spec => certificate(folder, spec)));
};

/** A kubeconfig with everything inside, as JSON (which is YAML). */
export const kubeconfig = ({ server, folder, user }: Access): string => {
  const data = (file: string) => readFileSync(join(folder, file)).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': data('ca.crt') } }],
    users: [
      {
        name: user,
        user: { 'client-certificate-data': data(`${user}.crt`), 'client-key-data': data(`${user}.key`) },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user } }],
  });
};

/** Writes FOLDER/USER.conf. @returns its path */
export const writeKubeconfig = (access: Access): string => {
  const path = join(access.folder, `${access.user}.conf`);
  writeFileSync(path, kubeconfig(access), { mode: 0o600 });
  return path;
};
