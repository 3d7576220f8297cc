/** Version of the agent, the image and the manifests; test/version.test.ts holds it to package.json. */
export const VERSION = '0.1.0';
