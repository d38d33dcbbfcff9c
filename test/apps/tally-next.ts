import { tallyApp } from './tally.ts';

export default tallyApp(2);
