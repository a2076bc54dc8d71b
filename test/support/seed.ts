/**
 * Before every test file: property tests draw the same values in every run, so that what passes once passes always.
 * `FAST_CHECK_SEED=N` draws others, `FAST_CHECK_SEED=random` new ones each time, for whoever looks for what is still wrong.
 */
import fc from 'fast-check';

const { FAST_CHECK_SEED: stated = '1' } = process.env;

fc.configureGlobal({ ...fc.readConfigureGlobal(), ...(stated === 'random' ? {} : { seed: Number(stated) }) });
