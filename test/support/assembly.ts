/** Before any test: the WebAssembly loops are compiled, if their source is newer, so that tests see those of this tree. */
import { compileAssembly } from '../../scripts/assembly.mjs';

export default compileAssembly;
