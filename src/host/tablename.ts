/** Names of routing tables: a number where it has no name, `main` for 254 and for none stated. */
export function tableName(table: string | number | undefined): string {
  const name = table === undefined ? 'main' : String(table);
  return { '255': 'local', '254': 'main', '253': 'default' }[name] ?? name;
}
