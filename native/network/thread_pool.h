// The engine's own threads. `run` divides numbered tasks among them and returns when all are done.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <thread>
#include <vector>

namespace under20k {

class ThreadPool {
public:
    // The calling thread is one of `threads`; the others wait here until there is work.
    explicit ThreadPool(ptrdiff_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    ptrdiff_t threads() const { return std::ssize(queues_); }

    // Call task(index, thread) for every index below `tasks`. A task must not throw. Each thread starts on a
    // range of its own, the same every time but alternately forwards and backwards, so that it starts with
    // the data that are still in its caches; a thread that has finished helps the others. The result must not
    // depend on which thread does a task, or when.
    template <typename Task>
    void run(ptrdiff_t tasks, const Task& task) {
        const Call call = [](const void* context, ptrdiff_t index, ptrdiff_t thread) {
            (*static_cast<const Task*>(context))(index, thread);
        };
        run(tasks, call, &task);
    }

private:
    using Call = void (*)(const void* context, ptrdiff_t index, ptrdiff_t thread);

    // One thread's range of tasks. On a cache line of its own, since every thread takes from it.
    struct alignas(64) Queue {
        std::atomic<ptrdiff_t> next{0};
        ptrdiff_t begin = 0, end = 0;
    };

    void run(ptrdiff_t tasks, Call call, const void* context);
    void work(ptrdiff_t thread);
    void worker(ptrdiff_t thread);
    void stop();

    std::vector<Queue> queues_;
    std::vector<std::thread> workers_;
    Call call_ = nullptr;
    const void* context_ = nullptr;
    bool descending_ = false;
    alignas(64) std::atomic<uint32_t> round_{0};
    alignas(64) std::atomic<ptrdiff_t> busy_{0};
    std::atomic<bool> stop_{false};
};

}  // namespace under20k
