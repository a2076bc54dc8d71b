// Bundles the command line and the packages it needs into a few files, so that it starts in a fraction of the time that
// loading hundreds of modules takes. The library (dist/index.js) stays as tsc wrote it.
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const { outputs, inputs } = (
  await build({
    entryPoints: ['dist/cli/main.js'],
    outdir: 'dist/bundle',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    // A third less to be scanned at every start; names stay, for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // Optional, and native.
    external: ['@cloudpss/zstd'],
    // CommonJS packages inside ask for Node's own modules in their way.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  })
).metafile;

// Code finds package.json and the WebAssembly relative to itself, so the bundle takes the place of what it was made from.
rmSync('dist/cli', { recursive: true });
renameSync('dist/bundle', 'dist/cli');
copyFileSync('dist/pipeline/hotpath/hotpath.wasm', 'dist/cli/hotpath.wasm');
writeFileSync('dist/cli/LICENSES.txt', licences(Object.keys(inputs)));
if (Object.keys(outputs).length === 0) throw new Error('the bundle is empty');

/** The licences of the packages inside, as these ask for. */
function licences(files) {
  const folders = new Set(files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []));
  return [...folders]
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
      const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
      const text =
        file !== undefined && existsSync(`${folder}/${file}`) ? readFileSync(`${folder}/${file}`, 'utf8') : '';
      return `${name} ${version} (${license})\n\n${text.trim()}\n`;
    })
    .join('\n----\n\n');
}
