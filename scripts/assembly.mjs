// Compiles the AssemblyScript loops to WebAssembly: beside their loader in src (for tests and tsx) and, with --dist, in dist.
import { copyFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = 'src/pipeline/hotpath/assembly';
const source = `${folder}/index.ts`;
const target = 'src/pipeline/hotpath/hotpath.wasm';

export async function compileAssembly() {
  const time = (path) => (existsSync(`${root}${path}`) ? statSync(`${root}${path}`).mtimeMs : 0);
  const sources = readdirSync(`${root}${folder}`).map((name) => `${folder}/${name}`);
  if (time(target) > Math.max(...[...sources, 'scripts/assembly.mjs'].map(time))) return;
  const { error, stderr } = await asc.main([
    source,
    ...['--baseDir', root, '--outFile', target, '--runtime', 'stub', '-O3', '--noAssert', '--use', 'abort='],
    ...['--enable', 'simd', '--enable', 'threads', '--enable', 'bulk-memory'],
    ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--memoryBase', '1024'],
  ]);
  if (error !== null) throw new Error(`${error.message}\n${stderr.toString()}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await compileAssembly();
  if (process.argv.includes('--dist')) copyFileSync(`${root}${target}`, `${root}${target.replace('src/', 'dist/')}`);
}
