    .section .images, "a"
    .global images, images_end
images:
    .incbin "images.bin"
images_end:
