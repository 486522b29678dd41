// The newest N of something.
export class Ring<T> {
    private items: T[] = [];
    readonly max: number;

    constructor(max: number) {
        this.max = max;
    }

    push(item: T): void {
        this.items.push(item);
        if (this.items.length > this.max * 2) this.items = this.items.slice(-this.max);
    }

    clear(): void {
        this.items = [];
    }

    get length(): number { return Math.min(this.items.length, this.max); }

    /** The newest `n`, newest first. */
    newest(n: number): T[] {
        return this.items.slice(-Math.min(n, this.max)).reverse();
    }
}
