POSTAGE = {"uk": 320, "fr": 540}
