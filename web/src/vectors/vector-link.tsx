import { Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';

/** A vector's name, which leads to its page. */
export function VectorLink({ name }: { readonly name: string }) {
  return (
    <Link href={`/app/vectors/${encodeURIComponent(name)}`}>
      <Name>{name}</Name>
    </Link>
  );
}
